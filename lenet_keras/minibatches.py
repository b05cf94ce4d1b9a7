"""The tutorial's minibatches: 500 digits at a time, in the order of the data or in a new one."""

from __future__ import annotations

import functools
import math

import keras
import numpy as np

from lenet_keras.data import Mnist, Split
from lenet_keras.penned import penned_digits, penned_others
from lenet_keras.recipe import Recipe

__all__ = ["Minibatches", "to_learn"]


def to_learn(mnist: Mnist, recipe: Recipe) -> Split:
    """The training digits, and behind them what the recipe has learned beside them."""
    splits = [mnist.train]
    if recipe.penned:
        splits.append(penned_digits(recipe.penned, recipe.seed))
    if recipe.others:
        splits.append(penned_others(recipe.others, recipe.seed))
    return Split(*(np.concatenate(arrays) if splits[1:] else arrays[0] for arrays in zip(*splits)))


class Minibatches(keras.utils.PyDataset):
    """All minibatches of a training, epoch after epoch, for ``fit`` with ``steps_per_epoch``.

    In the order of the data, as in the tutorial; or, if the recipe shuffles, in an order for each
    epoch that depends on the seed and the epoch alone. NumPy on every backend: what the digits
    need of a GPU's memory is a minibatch.

    Args:
        split: the training digits.
        recipe: batch_size, n_epochs, shuffle, seed.
        first_epoch: how many epochs are done, and left out.

    Minibatch ``[k]``, counted over all epochs that are left, is uint8 [batch_size, 28, 28] and
    int64 [batch_size]; an epoch's last may be smaller.
    """

    def __init__(self, split: Split, recipe: Recipe, first_epoch: int = 0) -> None:
        super().__init__()
        self.split, self.recipe, self.first_epoch = split, recipe, first_epoch
        self.n_train_batches = math.ceil(len(split.labels) / recipe.batch_size)

    def __len__(self) -> int:
        return (self.recipe.n_epochs - self.first_epoch) * self.n_train_batches

    def __getitem__(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        epoch, minibatch_index = divmod(k, self.n_train_batches)
        start = minibatch_index * self.recipe.batch_size
        rows: slice | np.ndarray = slice(start, start + self.recipe.batch_size)
        if self.recipe.shuffle:
            seed = (self.recipe.seed, self.first_epoch + epoch)
            rows = _permutation(len(self.split.labels), seed)[rows]
        return self.split.images[rows], self.split.labels[rows]


@functools.lru_cache(maxsize=2)
def _permutation(n: int, seed: tuple[int, int]) -> np.ndarray:
    return np.random.RandomState(seed).permutation(n)
