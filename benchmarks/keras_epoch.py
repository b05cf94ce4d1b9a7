"""Epochs of the tutorial's network in Keras: ours, and as one would write it. Run by peers.py.

python keras_epoch.py digits.npz batch_size n_epochs ours|bfloat16|plain
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import replace
from functools import partial

import keras
import numpy as np
from keras import layers

from lenet_keras import TUTORIAL
from lenet_keras.data import Split
from lenet_keras.minibatches import Minibatches
from lenet_keras.training import compiled, initial_model


class Seconds(keras.callbacks.Callback):
    """Prints what each epoch took, whatever lies between two of them included."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        now = time.perf_counter()
        if epoch > 0:  # the first is to warm up
            print(now - self.began)
        self.began = now


def ours(train: Split, batch_size: int, epochs: int, precision: str = "float32") -> None:
    """What ``Training.fit`` does, without the validations."""
    recipe = replace(TUTORIAL, batch_size=batch_size, precision=precision, n_epochs=epochs)
    minibatches = Minibatches(train, recipe)
    n_train_batches = minibatches.n_train_batches
    compiled(initial_model(recipe), recipe, n_train_batches).fit(
        minibatches,
        epochs=epochs,
        steps_per_epoch=n_train_batches,
        shuffle=False,
        verbose=0,
        callbacks=[Seconds()],
    )


def plain(train: Split, batch_size: int, epochs: int) -> None:
    """Keras's ``fit`` on arrays."""
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(20, 5),
            layers.MaxPooling2D(2),
            layers.Activation("tanh"),
            layers.Conv2D(50, 5),
            layers.MaxPooling2D(2),
            layers.Activation("tanh"),
            layers.Flatten(),
            layers.Dense(500, activation="tanh"),
            layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.SGD(TUTORIAL.learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(
        train.images[..., np.newaxis] / np.float32(256),
        train.labels,
        batch_size=batch_size,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[Seconds()],
    )


def main(digits: str, batch_size: str, n_epochs: str, way: str) -> None:
    with np.load(digits) as file:
        train = Split(file["images"], file["labels"])
    train_by = {"ours": ours, "bfloat16": partial(ours, precision="bfloat16"), "plain": plain}[way]
    train_by(train, int(batch_size), 1 + int(n_epochs))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main(*sys.argv[1:])
