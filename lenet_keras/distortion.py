"""Digits as another hand would write them: turned, slanted, bent, with another pen.

Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to
visual document analysis" (2003): every digit gets a new affine map and a new smooth field of
displacements each time it is seen, so that no digit is ever seen twice.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from lenet_keras.model import SIDE
from lenet_keras.recipe import Distortion, Recipe

__all__ = ["Distort", "Fading", "strength"]

KNOTS = 7  # the displacements are drawn on a grid of 7x7, 4.5 pixels apart,
SMOOTHNESS = 4.0  # and blended by Gaussians of this standard deviation (Simard's sigma)
FADED = 0.3  # of its strength, what is left of a distortion that fades


class Distort(keras.layers.Layer):
    """Distorts every digit at random while training, and does nothing otherwise.

    Args:
        distortion: how much.
        seed: of the randomness; the same seed, the same sequence of distortions.

    Call with uint8 [N, 28, 28]; returns the same. What lies outside the picture is 0.

    Attributes:
        strength: a variable, 1 at first; all distortions but ``faint`` are so many times as large.
    """

    def __init__(self, distortion: Distortion, seed: int = 0) -> None:
        super().__init__(name="distort", dtype="float32", autocast=False)
        self.distortion = distortion
        self.random = keras.random.SeedGenerator(seed)
        self.strength = self.add_weight(
            shape=(), initializer="ones", trainable=False, name="strength"
        )
        self.centered = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
        knots = np.linspace(self.centered[0], self.centered[-1], KNOTS, dtype=np.float32)
        blend = np.exp(-(((self.centered[:, None] - knots) / SMOOTHNESS) ** 2) / 2)
        # squares that sum to 1: a blend of unit normals is then a unit normal at every pixel
        self.blend = blend / np.sqrt((blend**2).sum(axis=1, keepdims=True))

    def call(self, images: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        if not training:
            return images
        y, x = self._where_from(ops.shape(images)[0])
        values = _bilinear(images, y, x)
        if self.distortion.stroke:
            values = self._another_pen(values)
        if self.distortion.faint:
            n, most = ops.shape(values)[0], self.distortion.faint
            values *= keras.random.uniform((n, 1, 1), 1 - most, 1.0, seed=self.random)
        return ops.cast(values + 0.5, "uint8")  # rounded

    def _where_from(self, n: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """For each pixel of n digits, the row and column of the original to look at."""
        d = self.distortion

        def draw(limit: float) -> keras.KerasTensor:
            drawn = keras.random.uniform((n, 1, 1), -limit, limit, seed=self.random)
            return drawn * self.strength

        angle = draw(np.deg2rad(d.rotation))
        cos, sin = ops.cos(angle), ops.sin(angle)
        height, width = ops.exp(draw(d.scale)), ops.exp(draw(d.scale))
        slant = draw(d.shear)
        rows, columns = self.centered[None, :, None], self.centered[None, None, :]
        y = cos * height * rows + sin * width * columns + draw(d.shift)
        x = (slant - sin * height) * rows + cos * width * columns + draw(d.shift)
        if d.elastic:
            grids = keras.random.normal((2, n, KNOTS, KNOTS), 0.0, d.elastic, seed=self.random)
            bends = ops.matmul(ops.matmul(self.blend, grids), self.blend.T)
            y, x = y + bends[0] * self.strength, x + bends[1] * self.strength
        return y - self.centered[0], x - self.centered[0]

    def _another_pen(self, values: keras.KerasTensor) -> keras.KerasTensor:
        n = ops.shape(values)[0]
        s = self.distortion.stroke
        share = keras.random.uniform((n, 1, 1), -s, s, seed=self.random) * self.strength
        thicker = ops.relu(share) * (_of_neighbors(ops.maximum, values) - values)
        thinner = ops.relu(-share) * (values - _of_neighbors(ops.minimum, values))
        return values + thicker - thinner


class Fading(keras.callbacks.Callback):
    """Sets a layer's strength at the beginning of every epoch, as the recipe wants it."""

    def __init__(self, distort: Distort, recipe: Recipe) -> None:
        super().__init__()
        self.distort, self.recipe = distort, recipe

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.distort.strength.assign(strength(epoch / self.recipe.n_epochs, self.recipe.fading))


def strength(done: float, fading: float) -> float:
    """How strong distortions are, when this share of the epochs is done: 1, then down to FADED."""
    faded = max(0.0, 1 - (1 - done) / fading) if fading else 0.0
    return 1 - (1 - FADED) * faded


def _of_neighbors(choose: Callable, values: keras.KerasTensor) -> keras.KerasTensor:
    """The maximum or minimum of the 3x3 around every pixel; slices are faster than pooling."""
    p = ops.pad(values, ((0, 0), (1, 1), (1, 1)))
    rows = choose(choose(p[:, :-2], p[:, 1:-1]), p[:, 2:])
    return choose(choose(rows[:, :, :-2], rows[:, :, 1:-1]), rows[:, :, 2:])


def _bilinear(
    images: keras.KerasTensor, y: keras.KerasTensor, x: keras.KerasTensor
) -> keras.KerasTensor:
    """The values of uint8 [N, 28, 28] at rows y and columns x, float32 [N, 28, 28] each."""
    n, size = ops.shape(images)[0], SIDE + 1
    y = ops.clip(y + 1, 0, size)  # a border of zeros: outside there is nothing
    x = ops.clip(x + 1, 0, size)
    top, left = ops.minimum(ops.floor(y), SIDE), ops.minimum(ops.floor(x), SIDE)
    down, right = y - top, x - left
    # The four neighbors of every place, a byte each in one int32: one lookup instead of four.
    p = ops.pad(ops.cast(images, "int32"), ((0, 0), (1, 1), (1, 1)))
    four = (
        p[:, :-1, :-1]
        + ops.left_shift(p[:, :-1, 1:], 8)
        + ops.left_shift(p[:, 1:, :-1], 16)
        + ops.left_shift(p[:, 1:, 1:], 24)
    )
    where = ops.reshape(ops.cast(top * size + left, "int32"), (n, SIDE * SIDE))
    four = ops.take_along_axis(ops.reshape(four, (n, size * size)), where, axis=1)
    four = ops.reshape(four, (n, SIDE, SIDE))

    def byte(k: int) -> keras.KerasTensor:
        return ops.cast(ops.bitwise_and(ops.right_shift(four, 8 * k), 255), "float32")

    above = byte(0) + right * (byte(1) - byte(0))
    below = byte(2) + right * (byte(3) - byte(2))
    return above + down * (below - above)
