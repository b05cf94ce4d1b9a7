"""MNIST's digits as apps meet them: in fog, in a table's cell, crossed out; then through our graph.

Each function takes a digit, uint8 [28, 28], and gives a picture, [H, W] from 0 to 255, drawn anew
every time. ``seen_on_paper`` gives what digit.onnx's normalization leaves of such pictures, for
committee.py to learn. benchmarks/pictures.py asks about papers of the same kinds, but made in
another way and to other measures.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
from PIL import Image

from lenet_keras.data import Split
from lenet_keras.ship.normalization import normalization_model

Picture = np.ndarray
Rng = np.random.Generator
BICUBIC = Image.Resampling.BICUBIC


def resized(picture: Picture, side: int) -> Picture:
    return np.asarray(Image.fromarray(picture).resize((side, side), BICUBIC))


def written(digit: Picture, rng: Rng) -> Picture:
    """Dark ink on light paper, 112x112 with up to 24 pixels of paper on every side."""
    ink = np.pad(resized(digit, 112), rng.integers(0, 25, (2, 2))) / 255
    paper = rng.uniform(170, 250)
    return paper - rng.uniform(0.5, 0.9) * paper * ink


def rising(shape: tuple[int, int], rng: Rng) -> np.ndarray:
    """From 0 to 1 in some direction, float64 of this shape."""
    angle, (height, width) = rng.uniform(0, 2 * np.pi), shape
    along = np.sin(angle) * np.linspace(-1, 1, height)[:, None]
    along = along + np.cos(angle) * np.linspace(-1, 1, width)
    return (along - along.min()) / np.ptp(along)


def in_fog(digit: Picture, rng: Rng) -> Picture:
    n, thick = rng.integers(3, 8), rng.uniform(0.3, 0.6)
    clouds = resized(rng.random((n, n), np.float32), 28).clip(0, 1)
    return 255 * ((1 - thick) * digit / 255 + thick * clouds)


def in_shadow(digit: Picture, rng: Rng) -> Picture:
    picture, soft = written(digit, rng), np.exp(rng.uniform(np.log(0.01), 0))
    beyond = (rising(picture.shape, rng) - rng.uniform(0.2, 0.8)) / soft + 0.5
    return picture * (1 - rng.uniform(0.3, 0.7) * beyond.clip(0, 1))


def in_cell(digit: Picture, rng: Rng) -> Picture:
    """Lines along some sides of the picture, at some distance from its border."""
    picture, dark = written(digit, rng), rng.uniform(30, 110)
    for turns in range(4):
        if rng.random() < 0.8:
            first, wide = rng.integers(0, 10), rng.integers(1, 6)
            np.rot90(picture, turns)[first : first + wide] = dark
    return picture


def on_lines(digit: Picture, rng: Rng) -> Picture:
    """On ruled or squared paper."""
    picture, apart, wide = written(digit, rng), rng.integers(14, 40), rng.integers(1, 3)
    dark, first = rng.uniform(90, 190), rng.integers(0, apart)
    for lines in (picture, picture.T)[: rng.integers(1, 3)]:
        for begin in range(first, len(lines), apart):
            lines[begin : begin + wide] = np.minimum(lines[begin : begin + wide], dark)
    return picture


def cut_out(digit: Picture, rng: Rng) -> Picture:
    """Along its ink, or a pixel off; enlarged."""
    digit = np.pad(digit, 1)
    rows, columns = np.flatnonzero(digit.any(1)), np.flatnonzero(digit.any(0))
    (top, left), (below, right) = (rows[0], columns[0]), (rows[-1] + 1, columns[-1] + 1)
    off = rng.integers(0, 2, 4)
    cut = digit[top - off[0] : below + off[1], left - off[2] : right + off[3]]
    times = rng.integers(2, 7)
    return 255 - cut.repeat(times, 0).repeat(times, 1)


def striped(digit: Picture, rng: Rng) -> Picture:
    """A band inverted along each of two opposite sides."""
    picture = digit.copy()
    turned = picture.T if rng.random() < 0.5 else picture
    for band in (turned[: rng.integers(5, 10)], turned[-rng.integers(5, 10) :]):
        band[:] = 255 - band
    return picture


def speckled(digit: Picture, rng: Rng) -> Picture:
    chance, share = rng.random(digit.shape), rng.uniform(0.005, 0.15)
    return np.where(chance < share, 255 * (chance < share / 2), digit)


def crossed(digit: Picture, rng: Rng) -> Picture:
    """A line from side to side, straight or in zigzag, whole or dotted."""
    corners, picture = rng.integers(2, 7), digit.copy()
    y = np.interp(np.linspace(0, 1, 28), np.linspace(0, 1, corners), rng.uniform(2, 25, corners))
    every, rows = rng.integers(1, 4), np.arange(28)[:, None]
    near = np.abs(rows - y) <= np.maximum(0.5, np.abs(np.gradient(y)) / 2)
    near[:, np.arange(28) % every > 0] = False
    turned = picture.T if rng.random() < 0.3 else picture
    turned[near] = rng.integers(150, 256)
    return picture


def outlined(digit: Picture, rng: Rng) -> Picture:
    """Only the edge of its ink, as edge detectors give it."""
    ink = np.pad(digit > rng.integers(60, 180), 1)
    around = [np.roll(ink, by, axis) for axis in (0, 1) for by in (-1, 1)]
    return 255 * (ink & ~np.logical_and.reduce(around))[1:-1, 1:-1]


PAPERS: tuple[Callable[[Picture, Rng], Picture], ...] = (
    *(in_fog, in_fog, in_shadow, in_cell, on_lines, cut_out),
    *(striped, speckled, crossed, outlined),
)


def seen_on_paper(split: Split, n: int, seed: int) -> Split:
    """Of these digits, each on one of PAPERS, what the network in digit.onnx sees.

    Args:
        split: digits, uint8 [N, 28, 28].
        n: how many to draw from them; those on which the graph finds no ink are left out.
        seed: the same seed, the same pictures.

    Returns:
        uint8 [up to n, 28, 28], in MNIST's normal form as far as the graph succeeds, and labels.
    """
    rng = np.random.default_rng((seed, 3))
    graph = onnxruntime.InferenceSession(normalization_model().SerializeToString())
    images, labels = [], []
    for i, row in enumerate(rng.integers(0, len(split.labels), n)):
        picture = np.rint(PAPERS[i % len(PAPERS)](split.images[row], rng)).clip(0, 255)
        feed = {"image": picture.astype(np.uint8)[None]}
        (normalized,), (has_ink,) = graph.run(["normalized", "has_ink"], feed)
        if has_ink:
            images.append(normalized)
            labels.append(split.labels[row])
    return Split(np.stack(images), np.array(labels))
