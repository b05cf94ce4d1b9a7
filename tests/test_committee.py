"""Many networks at once are the same networks, and what a committee says can be learned."""

SCRIPT = """
import json, sys
from dataclasses import replace
import jax, jax.numpy as jnp, numpy as np
sys.path.insert(0, "results")
import committee
from committee import Group, Learned, errors, joined, logits_of, together
from lenet_keras import load_mnist
from lenet_keras.data import Split
from lenet_keras.training import initial_model

committee.COMPUTED = jnp.dtype("float32")
digits, found = load_mnist("digits"), {}
part = lambda split, n: Split(split.images[:n], split.labels[:n])
few = part(digits.train, 600)
recipe = replace(committee.TEACHER, n_epochs=6, batch_size=50, precision="float32")
rng = np.random.default_rng(0)

model = initial_model(recipe)
model.set_weights([w + rng.normal(0, 0.05, w.shape) for w in model.get_weights()])
weights = [jnp.asarray(w) for w in model.get_weights()]
ours, keras_s = logits_of(weights, few.images[:40]), model.predict(few.images[:40], verbose=0)
found["difference"] = float(np.abs(ours - keras_s).max())

images, labels = joined(few)
every = jnp.ones((2, len(labels)))
teachers = Group(recipe, (1, 2), Learned(images, labels, every)).fit()
found["teachers"] = errors(teachers, few)

# told wrong labels and what the committee says: one network hears of no digit below 5
wrong = Learned(images, (labels + 1) % 10, every.at[1].set(labels >= 5))
taught = Group(replace(recipe, dropout=0.0), (3, 4), wrong, teachers).fit()
answers = [np.asarray(logits_of([w[k] for w in taught], images)).argmax(axis=1) for k in (0, 1)]
said = np.asarray(together(teachers, images)).argmax(axis=1)
found["as the committee says"] = float((answers[0] == said).mean())
found["unheard of"] = float((answers[1][labels < 5] == said[labels < 5]).mean())
found["together"] = committee.error_together(teachers, few)
print(json.dumps(found))
"""


def test_many_at_once(on_jax):
    found = on_jax(SCRIPT)
    assert found["difference"] < 1e-4  # from Keras's logits
    assert max(found["teachers"]) < 30
    assert found["together"][0] <= max(found["teachers"])
    assert found["as the committee says"] > 0.7
    assert found["unheard of"] < 0.1
