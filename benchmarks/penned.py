"""Digits as people write them elsewhere: how many a network misreads, and which.

    LENET_KERAS_DATA=... python benchmarks/penned.py RUN ...

Each run's network stands in a digit.onnx made here and reads pictures of 200 pixels. They are drawn
with the forms of lenet_keras/penned.py, but by less steady hands than any it may have learned from,
with another pen (hard edges, 4 to 20 of 200 pixels wide), and with other chance: they tell what
changed, not how well real people are read. scikit-learn's 1,797 digits are real people's, written
in Turkey, 8 pixels high.
"""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import onnxruntime
from PIL import Image, ImageDraw
from table import header, row

from lenet_keras import load_mnist
from lenet_keras.penned import DIGITS, Form, by_hand, one, seven
from lenet_keras.run import load_model
from lenet_keras.score import wilson_interval
from lenet_keras.ship.graphs import lenet5_onnx
from lenet_keras.ship.normalization import digit_model
from lenet_keras.ship.parity import session

SIDE, HEIGHT = 200, 140  # of a picture, and the longer side of the digit in it
N = 1000  # of each digit; of each kind of 1 and 7, half as many


def picture(form: Form, rng: np.random.Generator) -> np.ndarray:
    """One digit, dark on white: uint8 [200, 200]."""
    points = by_hand(form(rng), rng, unsteady=rng.uniform(0.03, 0.05))
    low, high = points.min(axis=0), points.max(axis=0)
    placed = (points - (low + high) / 2) / (high - low).max() * HEIGHT + SIDE / 2
    radius = rng.uniform(2, 10)
    image = Image.new("L", (SIDE, SIDE), 255)
    draw = ImageDraw.Draw(image)
    close = np.hypot(*np.diff(placed, axis=0).T) < HEIGHT / 12  # else the pen was lifted
    for (x, y), (to_x, to_y) in zip(placed[:-1][close], placed[1:][close]):
        draw.line((x, y, to_x, to_y), 0, round(2 * radius))
    for x, y in placed:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), 0)
    return np.asarray(image)


def misread(
    networks: list[onnxruntime.InferenceSession], pictures: np.ndarray, labels: np.ndarray
) -> list[int]:
    """How many of them each network gets wrong."""
    wrong = [0] * len(networks)
    for start in range(0, len(pictures), 50):
        part = slice(start, start + 50)
        for i, network in enumerate(networks):
            (label,) = network.run(["label"], {"image": pictures[part]})
            wrong[i] += int(np.sum(label != labels[part]))
    return wrong


def percent(wrong: int, n: int) -> str:
    return f"{100 * wrong / n:.2f} %"


def table_row(name: str, wrong: list[int], n: int) -> str:
    return row(name, f"{n:,}", *(percent(errors, n) for errors in wrong))


def main(folders: list[str]) -> None:
    networks = [session(digit_model(lenet5_onnx(load_model(folder)))) for folder in folders]
    rng = np.random.default_rng(2026)
    print(header("misread", "how many", *folders))
    total, of_all = [0] * len(networks), 0
    for digit, form in enumerate(DIGITS):
        pictures = np.stack([picture(form, rng) for _ in range(N)])
        wrong = misread(networks, pictures, np.full(N, digit))
        print(table_row(f"{digit} of our pen", wrong, N))
        total, of_all = [a + b for a, b in zip(total, wrong)], of_all + N
    print(table_row("all of our pen", total, of_all))
    digits = load_mnist("digits")
    splits = (digits.train, digits.valid, digits.test)
    images, labels = (np.concatenate(arrays) for arrays in zip(*splits))
    wrong = misread(networks, images, labels)
    print(table_row("scikit-learn's digits", wrong, len(labels)))
    bounds = ["{:.1f} to {:.1f} %".format(*wilson_interval(w, len(labels))) for w in wrong]
    print(row("… with 95 % confidence", "", *bounds))
    kinds: dict[str, tuple[int, Form]] = {
        f"1, its flag {flag} and its foot {foot} of the stem": (
            1,
            partial(one, flag=flag, foot=foot),
        )
        for foot in (0, 0.5)
        for flag in (0, 0.2, 0.4, 0.6, 0.8)
    }
    kinds |= {"7 with a bar": (7, partial(seven, bar=True))}
    kinds |= {"7 without": (7, partial(seven, bar=False))}
    for name, (digit, form) in kinds.items():
        pictures = np.stack([picture(form, rng) for _ in range(N // 2)])
        wrong = misread(networks, pictures, np.full(N // 2, digit))
        print(table_row(name, wrong, N // 2))


if __name__ == "__main__":
    main(sys.argv[1:])
