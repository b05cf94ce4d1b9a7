"""What Theano's max-pooling did with equals: the tutorial's whole run with its rule for them.

    LENET_KERAS_DATA=... python results/ties.py

Of 2x2 answers the largest goes on, and learns. Which learns if two are equally large? TensorFlow
takes one of them; Theano's ``DownsampleFactorMaxGrad`` gave each the whole gradient. Along a
straight edge neighboring windows see the same pixels, in 5 of 1,000 blocks that have ink, and
conv1's kernels learn from both. The bias hears of a block only once: the tutorial adds it after
pooling, as is done here.

Trains the tutorial's network by Theano's rule, all else being ours, and writes
results/ties/history.csv, a row an epoch, errors in percent.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf
from keras import layers

from lenet_keras import TUTORIAL, PatienceStopping, load_mnist
from lenet_keras.patience import Validation
from lenet_keras.recipe import Recipe
from lenet_keras.score import zero_one_loss
from lenet_keras.storage.files import whole_file
from lenet_keras.training import compiled, initial_model

HERE = Path(__file__).parent


@tf.custom_gradient
def max_pool_as_in_theano(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """The largest of 2x2; each that is as large gets the gradient. float32 [N, H, W, C]."""
    largest = tf.nn.max_pool2d(x, 2, 2, "VALID")

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        def to_each(y: tf.Tensor) -> tf.Tensor:
            _, height, width, channels = y.shape
            blocks = (tf.shape(y)[0], height, 2, width, 2, channels)
            return tf.reshape(tf.broadcast_to(y[:, :, None, :, None], blocks), tf.shape(x))

        return tf.where(x == to_each(largest), to_each(upstream), 0.0)

    return largest, gradient


class PoolAndBias(keras.layers.Layer):
    """``max_pool_2d(conv_out, (2, 2)) + b.dimshuffle("x", 0, "x", "x")``."""

    def build(self, shape: tuple) -> None:
        self.bias = self.add_weight(shape=(shape[-1],), initializer="zeros", name="bias")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return max_pool_as_in_theano(x) + self.bias


def network(recipe: Recipe) -> keras.Model:
    """The tutorial's, with its initial weights, float32."""
    model = keras.Sequential(
        [
            keras.Input((28, 28), dtype="uint8"),
            layers.Rescaling(1 / 256),
            layers.Reshape((28, 28, 1)),
            layers.Conv2D(20, 5, use_bias=False),
            PoolAndBias(),
            layers.Activation("tanh"),
            layers.Conv2D(50, 5, use_bias=False),
            PoolAndBias(),
            layers.Activation("tanh"),
            layers.Flatten(),
            layers.Dense(500, activation="tanh"),
            layers.Dense(10),
        ]
    )
    model.set_weights(initial_model(recipe).get_weights())
    return model


def main() -> None:
    """Train until patience or the recipe's epochs end; keep history.csv with every epoch."""
    mnist, folder = load_mnist("mnist"), HERE / "ties"

    def keep(validation: Validation) -> None:
        test = 100 * zero_one_loss(stopping.model, mnist.test)
        valid = 100 * validation.validation_error
        rows.append([validation.epoch, f"{validation.cost:.8f}", f"{valid:.2f}", f"{test:.2f}"])
        with whole_file(folder / "history.csv") as partial, open(partial, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    rows = [["epoch", "cost", "validation_error", "test_error"]]
    folder.mkdir(exist_ok=True)
    stopping = PatienceStopping(
        validate_model=lambda model: zero_one_loss(model, mnist.valid),
        on_validation=keep,  # tests every network, not only each new best
    )
    n_train_batches = len(mnist.train.labels) // TUTORIAL.batch_size
    compiled(network(TUTORIAL), TUTORIAL, n_train_batches).fit(
        *mnist.train,
        batch_size=TUTORIAL.batch_size,
        epochs=TUTORIAL.n_epochs,
        shuffle=False,
        verbose=0,
        callbacks=[stopping],
    )


if __name__ == "__main__":
    main()
