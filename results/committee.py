"""One network learns from a committee: sixteen LeNets, and what they say together.

    KERAS_BACKEND=jax LENET_KERAS_DATA=... python results/committee.py

Sixteen networks misread far fewer digits together than any of them alone, and an app wants one.
So one learns from all: of every digit, distorted anew each time, not only its label but also the
mean of their probabilities (Hinton, Vinyals and Dean, "Distilling the knowledge in a neural
network", 2015). All of a group are trained at once, every weight with one axis more, because one
network alone hardly keeps a GPU busy. On one it takes four minutes; it is too much for a CPU.

The teachers learn as the recipe best says, and beside its digits some on other paper (paper.py).
Two groups of five learn from them: one the same 50,000 digits, so that the validation digits can
say which is best; one all 60,000. Writes results/committee/: README.md, a run folder for each of
the first group, with the model of the best.

What is learned, how strongly weights decay, when distortions fade and how much a student is told
was chosen with the digits of 107 of the 539 people who wrote MNIST's 60,000 left out to validate.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import lax
from paper import seen_on_paper
from study import SEEDS, mean_and_sd

from lenet_keras import BEST, Recipe, load_mnist
from lenet_keras.data import Mnist, Split
from lenet_keras.devices import native_precision
from lenet_keras.distortion import Distort, strength
from lenet_keras.minibatches import to_learn
from lenet_keras.run.history import percent
from lenet_keras.run.record import Data, Record, Result, hardware, versions
from lenet_keras.score import wilson_interval, zero_one_loss
from lenet_keras.storage.files import whole_file
from lenet_keras.training import initial_model, optimizer_of, target_of

HERE = Path(__file__).parent / "committee"
TEACHER = replace(
    BEST, name="teacher", dropout=0.2, n_epochs=90, averaged=1, precision=native_precision()
)
STUDENT = replace(TEACHER, name="committee", dropout=0.0, n_epochs=200)
TEACHERS = tuple(range(101, 117))  # seeds
STUDENTS = SEEDS
N_PAPER = 16_000  # digits on other paper
TAUGHT = 0.7  # of what a student is told: the committee's probabilities; the rest is the label

Weights = list[jax.Array]  # in the order of keras.Model.get_weights, with an axis more in front
COMPUTED = jnp.dtype(TEACHER.precision)


# --- many networks at once ---------------------------------------------------------------


def product(x: jax.Array, w: jax.Array) -> jax.Array:
    return jnp.matmul(x.astype(COMPUTED), w.astype(COMPUTED), preferred_element_type=jnp.float32)


def convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """[B, H, W * C] to [B, H - 4, (W - 4) * K]: a whole row of answers in one matrix product.

    The kernels [5, 5, C, K] stand in a matrix [5 * W * C, (W - 4) * K] as often as they have
    places in a row. It is mostly zeros, and yet a GPU is faster with it than with all windows.
    """
    size, _, channels, _ = kernel.shape
    columns = x.shape[2] // channels
    places = columns - size + 1
    where = np.stack([np.eye(columns, places, -offset) for offset in range(size)])
    matrix = jnp.einsum("rcmk,cxj->rxmjk", kernel, where, precision="highest")
    rows = x.shape[1] - size + 1
    windows = jnp.concatenate([x[:, i : i + rows] for i in range(size)], axis=2)
    return product(windows, matrix.reshape(windows.shape[2], -1))


def pooled(x: jax.Array, bias: jax.Array) -> jax.Array:
    """[B, H, W * K], bias [K] to [B, H / 2, W / 2 * K]: the largest of 2x2, then relu."""
    batch, height, width = x.shape
    x = x.astype(COMPUTED).reshape(batch, height // 2, 2, -1, 2, len(bias))
    x = jnp.maximum(x[:, :, 0], x[:, :, 1])
    x = jnp.maximum(x[:, :, :, 0], x[:, :, :, 1])
    return jax.nn.relu(x + bias.astype(COMPUTED)).reshape(batch, height // 2, width // 2)


def dropped(x: jax.Array, share: float, key: jax.Array) -> jax.Array:
    if not share:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - share, x.shape), x / (1 - share), 0)


def logits_of(w: Weights, images: jax.Array, dropout: float = 0.0, key: Any = None) -> jax.Array:
    """What one network of the recipe best computes: uint8 [B, 28, 28] to float32 [B, 10]."""
    k1, k2 = jax.random.split(key) if dropout else (None, None)
    x = images.astype(COMPUTED) / 256
    x = pooled(convolution(x, w[0]), w[1])
    x = pooled(convolution(x, w[2]), w[3])
    x = dropped(x.reshape(len(x), -1), dropout, k1)
    x = dropped(jax.nn.relu(product(x, w[4]) + w[5]), dropout, k2)
    return product(x, w[6]) + w[7]


@jax.jit
def together(committee: Weights, images: jax.Array) -> jax.Array:
    """The mean of all networks' probabilities: [B, 10]."""
    each = jax.vmap(lambda w: jax.nn.softmax(logits_of(w, images)))(committee)
    return each.mean(axis=0)


def cost(
    w: Weights, images: jax.Array, target: jax.Array, counts: jax.Array, key: Any, dropout: float
) -> jax.Array:
    """Negative log-likelihood of [B, 10] probabilities; counts [B]: 0 for what is not learned."""
    each = -(target * jax.nn.log_softmax(logits_of(w, images, dropout, key))).sum(axis=1)
    return (each * counts).sum() / counts.sum()


# --- how they learn ----------------------------------------------------------------------


class Learned(NamedTuple):
    """On the device: uint8 [N, 28, 28]; int32 [N], NO_DIGIT of what is none; float32 [M, N].

    counts: 1 for what each of M networks learns, else 0.
    """

    images: jax.Array
    labels: jax.Array
    counts: jax.Array


@dataclass(frozen=True, eq=False)
class Group:
    """Networks that are trained at once.

    committee: their teachers, or None. Those that are taught see the same views of the digits, so
        that a view is shown to the teachers once; others have orders and views of their own.
    """

    recipe: Recipe
    seeds: Sequence[int]
    learned: Learned
    committee: Weights | None = None

    @functools.cached_property
    def n_train_batches(self) -> int:
        return len(self.learned.labels) // self.recipe.batch_size

    @functools.cached_property
    def distort(self) -> Distort:
        layer = Distort(self.recipe.distortion)
        layer.build((None, 28, 28))
        return layer

    @functools.cached_property
    def optimizer(self) -> keras.optimizers.Optimizer:
        return optimizer_of(self.recipe, self.n_train_batches)

    def fit(self) -> Weights:
        """The weights after the last epoch."""
        recipe = self.recipe
        models = [initial_model(replace(recipe, seed=seed)) for seed in self.seeds]
        weights = [jnp.stack(each) for each in zip(*(model.get_weights() for model in models))]
        self.optimizer.build([keras.Variable(each) for each in weights])
        slots = [variable.value for variable in self.optimizer.variables]
        epoch, random = jax.jit(self.epoch, donate_argnums=(0, 1)), jax.random.key(self.seeds[0])
        for done in range(recipe.n_epochs):
            faded = jnp.float32(strength(done / recipe.n_epochs, recipe.fading))
            key = jax.random.fold_in(random, done)
            weights, slots = epoch(weights, slots, key, faded, self.learned, self.committee)
            if done % 10 == 0:
                jax.block_until_ready(weights)
                print(f"{recipe.name}: epoch {done + 1} of {recipe.n_epochs}", flush=True)
        return weights

    def epoch(
        self,
        weights: Weights,
        slots: list[jax.Array],
        key: jax.Array,
        faded: jax.Array,
        learned: Learned,
        committee: Weights | None,
    ) -> tuple[Weights, list[jax.Array]]:
        """Every minibatch once, in a new order; slots are the optimizer's variables."""
        orders, n, size = len(self.seeds), len(learned.labels), self.recipe.batch_size
        keys = jax.random.split(key, 1 if committee else orders)
        order = jax.vmap(lambda key: jax.random.permutation(key, n))(keys)

        def step(learner: tuple, index: jax.Array) -> tuple:
            weights, slots = learner
            rows = lax.dynamic_slice_in_dim(order, index * size, size, axis=1)
            k1, k2 = jax.random.split(jax.random.fold_in(key, index))
            images = self.views(learned.images[rows], k1, faded)
            target = target_of(learned.labels[rows])
            if committee is not None:
                target = TAUGHT * together(committee, images[0]) + (1 - TAUGHT) * target
            gradients = self.gradients(weights, images, target, learned.counts, rows, k2)
            return self.optimizer.stateless_apply(slots, gradients, weights), None

        return lax.scan(step, (weights, slots), jnp.arange(self.n_train_batches))[0]

    def views(self, images: jax.Array, key: jax.Array, faded: jax.Array) -> jax.Array:
        """The digits distorted, uint8 [orders, batch_size, 28, 28]."""
        variables = [
            faded if each is self.distort.strength else jax.random.key_data(key)
            for each in self.distort.non_trainable_variables
        ]
        flat = images.reshape(-1, *images.shape[2:])
        return self.distort.stateless_call([], variables, flat, training=True)[0].reshape(
            images.shape
        )

    def gradients(
        self,
        weights: Weights,
        images: jax.Array,
        target: jax.Array,
        counts: jax.Array,
        rows: jax.Array,
        key: jax.Array,
    ) -> Weights:
        """Of every network's cost on its minibatch."""
        m = len(self.seeds)
        images, target, rows = (
            jnp.broadcast_to(each, (m, *each.shape[1:])) for each in (images, target, rows)
        )
        counts = jnp.take_along_axis(counts, rows, axis=1)
        of_one = jax.grad(functools.partial(cost, dropout=self.recipe.dropout))
        return jax.vmap(of_one)(weights, images, target, counts, jax.random.split(key, m))


# --- who learns what ---------------------------------------------------------------------


def beside_mnist(mnist: Mnist) -> Split:
    """What is learned beside MNIST's digits: of our own pen, no digits, digits on other paper."""
    n = len(mnist.train.labels)
    penned = (part[n:] for part in to_learn(mnist, TEACHER))
    paper = seen_on_paper(mnist.train, N_PAPER, TEACHER.seed)
    return Split(*(np.concatenate(pair) for pair in zip(penned, paper)))


def teachers(mnist: Mnist, beside: Split) -> Group:
    images, labels = joined(mnist.train, beside)
    return Group(TEACHER, TEACHERS, Learned(images, labels, jnp.ones((len(TEACHERS), len(labels)))))


def students(mnist: Mnist, beside: Split, committee: Weights) -> Group:
    """The first half learns without the validation digits, the second with them."""
    images, labels = joined(mnist.train, beside, mnist.valid)
    counts = np.ones((2 * len(STUDENTS), len(labels)), np.float32)
    counts[: len(STUDENTS), -len(mnist.valid.labels) :] = 0
    learned = Learned(images, labels, jnp.asarray(counts))
    return Group(STUDENT, 2 * STUDENTS, learned, committee)


def joined(*splits: Split) -> tuple[jax.Array, jax.Array]:
    images, labels = (np.concatenate(arrays) for arrays in zip(*splits))
    return jnp.asarray(images), jnp.asarray(labels, jnp.int32)


# --- what comes of it --------------------------------------------------------------------


class Scores(NamedTuple):
    """Of some networks, in percent; valid is empty where the validation digits were learned."""

    name: str
    valid: list[float]
    test: list[float]


def network_of(weights: Weights, k: int) -> keras.Model:
    """The k-th of a group, float32; always the same model, so Keras compiles it once."""
    _network().set_weights([np.asarray(each[k]) for each in weights])
    return _network()


@functools.cache
def _network() -> keras.Model:
    return initial_model(replace(STUDENT, precision="float32"))


def errors(weights: Weights, split: Split) -> list[float]:
    """Of each network of a group, in percent."""
    each = (network_of(weights, k) for k in range(len(weights[0])))
    return [percent(zero_one_loss(network, split)) for network in each]


def error_together(committee: Weights, split: Split) -> list[float]:
    """Of all of a group together, in percent: one number."""
    parts = [split.images[i : i + 1000] for i in range(0, len(split.images), 1000)]
    labels = np.concatenate([together(committee, part).argmax(axis=1) for part in parts])
    return [percent(float(np.mean(labels != split.labels)))]


def keep(weights: Weights, group: Group, scores: Scores, mnist: Mnist, seconds: float) -> None:
    """A run folder for each student that was validated, and the model of the best of them."""
    iterations = group.recipe.n_epochs * group.n_train_batches
    best = int(np.argmin(scores.valid))
    for k, seed in enumerate(STUDENTS):
        folder = HERE / f"seed-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        if k == best:
            with whole_file(folder / "model.keras") as path:
                network_of(weights, k).save(path)
        else:
            (folder / "model.keras").unlink(missing_ok=True)
        Record(
            recipe=replace(group.recipe, seed=seed),
            data=Data.of(mnist),
            versions=versions(),
            hardware=hardware(),
            devices=1,
            wall_seconds=round(seconds, 1),  # of all, teachers too
            epochs=group.recipe.n_epochs,
            iterations=iterations,
            stopped_by_patience=False,
            result=Result(scores.valid[k], iterations, scores.test[k]),
        ).save(folder / "run.json")


def table(rows: Sequence[Scores], seconds: float) -> str:
    """README.md."""
    lines = [
        "# committee\n",
        "`KERAS_BACKEND=jax python results/committee.py` made this, with "
        f"{seconds / 60:.1f} minutes of training on {jax.devices()[0].device_kind}; errors in "
        "percent of 10,000 digits, after the last epoch. Test digits were looked at once.\n",
        "| mean ± standard deviation | networks | validation error | test error | |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, valid, test in rows:
        low, high = wilson_interval(round(statistics.mean(test) * 100), 10_000)
        lines.append(
            f"| {name} | {len(test)} | {mean_and_sd(valid) if valid else '–'} "
            f"| {mean_and_sd(test)} | {low:.2f} to {high:.2f} |"
        )
    lines += [
        "\nThe column without a name is where, with 95 % confidence, the error on all such digits "
        "lies, if the test error is what 10,000 of them show (Wilson). The taught share their "
        "teachers and views of the digits: they differ by their first weights alone.\n",
        "| taught | validation error | test error | test error, validation digits learned too |",
        "| --- | --- | --- | --- |",
    ]
    for seed, valid, test, all_test in zip(STUDENTS, rows[-2].valid, rows[-2].test, rows[-1].test):
        lines.append(f"| seed-{seed} | {valid:.2f} | {test:.2f} | {all_test:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    mnist = load_mnist("mnist")
    beside, began = beside_mnist(mnist), time.perf_counter()
    committee = teachers(mnist, beside).fit()
    group = students(mnist, beside, committee)
    weights = group.fit()
    seconds = time.perf_counter() - began
    some, all_ = (
        [each[half] for each in weights]
        for half in (slice(len(STUDENTS)), slice(len(STUDENTS), None))
    )
    rows = [
        Scores("a teacher", errors(committee, mnist.valid), errors(committee, mnist.test)),
        Scores(
            "all teachers together",
            error_together(committee, mnist.valid),
            error_together(committee, mnist.test),
        ),
        Scores("taught", errors(some, mnist.valid), errors(some, mnist.test)),
        Scores("taught, the validation digits too", [], errors(all_, mnist.test)),
    ]
    keep(some, group, rows[2], mnist, seconds)
    (HERE / "README.md").write_text(table(rows, seconds))


if __name__ == "__main__":
    main()
