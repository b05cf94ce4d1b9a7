"""What Theano's max-pooling did with equals: the tutorial's whole run with its rule for them.

    LENET_KERAS_DATA=... python results/ties.py

Of 2x2 answers the largest goes on, and learns. Which learns if two are equally large? Keras's
backends choose one of them; Theano (``DownsampleFactorMaxGrad``) gave each the whole gradient.
On blank paper all four are equal to the bit. Below conv1 that paper is 0, and nothing follows
from it. Below conv2 it is ``tanh(b)``, and the kernels learn from it four times.

Trains the tutorial's network by Theano's rule, everything else being ours, and writes
results/ties/history.csv, an epoch a row; one that was interrupted begins anew.
"""

from __future__ import annotations

import csv
from pathlib import Path

import keras
from keras import ops

from lenet_keras import TUTORIAL, PatienceStopping, load_mnist
from lenet_keras.patience import Validation
from lenet_keras.recipe import Recipe
from lenet_keras.score import zero_one_loss
from lenet_keras.storage.files import whole_file
from lenet_keras.training import compiled, initial_model

HERE = Path(__file__).parent


class EachOfEqualsLearns(keras.layers.Layer):
    """Max-pooling of 2x2 whose gradient goes to each of the largest, as Theano's did.

    Args:
        conv: the layer below. The tutorial adds its bias after pooling, so the bias hears of a
            block once, however many of it are equal.

    Call with float32 [N, H, W, C], even H and W; returns [N, H / 2, W / 2, C].
    """

    def __init__(self, conv: keras.layers.Conv2D, name: str | None = None) -> None:
        super().__init__(name=name)
        self.conv = conv

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        _, height, width, channels = x.shape
        blocks = (-1, height // 2, 2, width // 2, 2, channels)
        largest = ops.stop_gradient(ops.max_pool(x, 2))
        equal = ops.reshape(x, blocks) == largest[:, :, None, :, None, :]
        bias = self.conv.bias
        # each difference is 0, and has the slope 1
        unbiased = ops.reshape(x - bias, blocks)
        slopes = ops.where(equal, unbiased - ops.stop_gradient(unbiased), 0.0)
        return largest + ops.sum(slopes, axis=(2, 4)) + (bias - ops.stop_gradient(bias))


def as_in_theano(model: keras.Model) -> keras.Model:
    """The same network with the same weights, where each of equals learns."""
    convs = []

    def twin(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.MaxPooling2D):
            return EachOfEqualsLearns(convs[-1], name=layer.name)
        copy = layer.__class__.from_config(layer.get_config())
        if isinstance(layer, keras.layers.Conv2D):
            convs.append(copy)
        return copy

    copy = keras.models.clone_model(model, clone_function=twin)
    copy.set_weights(model.get_weights())
    return copy


def run(recipe: Recipe = TUTORIAL, folder: Path = HERE / "ties") -> list[Validation]:
    """Train until patience or the recipe's epochs end; keep history.csv with every epoch."""
    mnist = load_mnist("mnist")
    history: list[Validation] = []

    def keep(validation: Validation) -> None:
        history.append(validation)
        test = 100 * zero_one_loss(stopping.model, mnist.test)
        valid = 100 * validation.validation_error
        rows.append([validation.epoch, f"{validation.cost:.8f}", f"{valid:.2f}", f"{test:.2f}"])
        with whole_file(folder / "history.csv") as partial, open(partial, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    rows = [["epoch", "cost", "validation_error", "test_error"]]
    folder.mkdir(exist_ok=True)
    stopping = PatienceStopping(
        validate_model=lambda model: zero_one_loss(model, mnist.valid),
        test_model=lambda model: zero_one_loss(model, mnist.test),
        on_validation=keep,
    )
    n_train_batches = len(mnist.train.labels) // recipe.batch_size
    compiled(as_in_theano(initial_model(recipe)), recipe, n_train_batches).fit(
        *mnist.train,
        batch_size=recipe.batch_size,
        epochs=recipe.n_epochs,
        shuffle=False,
        verbose=0,
        callbacks=[stopping],
    )
    return history


if __name__ == "__main__":
    run()
