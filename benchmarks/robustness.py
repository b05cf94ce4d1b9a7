"""What the tutorial's network and the modern one make of digits that are not as MNIST has them.

    LENET_KERAS_DATA=... python benchmarks/robustness.py > benchmarks/results/robustness.md

All 10,000 test digits, 28x28, changed by so much and given to the networks as they are (no
normalization: benchmarks/pictures.py is about digit.onnx). Draws results/robustness.png too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from pictures import covered, large
from scipy import ndimage
from table import header, row

from lenet_keras import load_mnist
from lenet_keras.data import Split
from lenet_keras.figures import BLUE, ORANGE
from lenet_keras.run import load_model
from lenet_keras.score import zero_one_loss
from lenet_keras.storage.files import whole_file

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"


def affine(matrix: np.ndarray, offset: np.ndarray, digit: np.ndarray) -> np.ndarray:
    """A digit under an affine map about its center, bilinear, with black around it."""
    center = np.array([13.5, 13.5])
    start = center - matrix @ center + offset
    return ndimage.affine_transform(digit.astype(np.float32), matrix, start, order=1)


def shifted(digit: np.ndarray, rng: np.random.Generator, pixels: float) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return affine(np.eye(2), pixels * np.array([np.cos(angle), np.sin(angle)]), digit)


def turned(digit: np.ndarray, rng: np.random.Generator, degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees) * rng.choice([-1, 1])
    cos, sin = np.cos(angle), np.sin(angle)
    return affine(np.array([[cos, sin], [-sin, cos]]), np.zeros(2), digit)


def scaled(digit: np.ndarray, rng: np.random.Generator, size: float) -> np.ndarray:
    return affine(np.eye(2) / size, np.zeros(2), digit)


def noisy(digit: np.ndarray, rng: np.random.Generator, deviation: float) -> np.ndarray:
    return digit + rng.normal(0, deviation, digit.shape)


def blurred(digit: np.ndarray, rng: np.random.Generator, deviation: float) -> np.ndarray:
    return ndimage.gaussian_filter(digit.astype(np.float32), deviation)


def another_pen(digit: np.ndarray, rng: np.random.Generator, pixels: float) -> np.ndarray:
    """Strokes wider (or, below 0, narrower) by so much on either side."""
    size = 2 * round(5 * abs(pixels)) + 1
    change = ndimage.grey_dilation if pixels > 0 else ndimage.grey_erosion
    pen = np.hypot(*np.indices((size, size)) - size // 2) <= size / 2
    wide = change(np.asarray(large(digit)), footprint=pen)
    return wide.reshape(28, 5, 28, 5).mean((1, 3))


CHANGES: dict[str, tuple[Callable, list[float]]] = {
    "shifted by (pixels)": (shifted, [0, 1, 2, 3, 4]),
    "turned by (degrees)": (turned, [0, 10, 20, 30, 40]),
    "of the size": (scaled, [0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3]),
    "strokes wider by (pixels)": (another_pen, [-0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8, 1]),
    "noise (standard deviation of 255)": (noisy, [0, 20, 40, 60, 80]),
    "blurred (standard deviation, pixels)": (blurred, [0, 0.5, 1, 1.5, 2]),
    "covered by a square of (pixels)": (covered, [0, 2, 4, 6, 8]),
}


def main() -> None:
    test = load_mnist("mnist").test
    (modern,) = (ROOT / "results/modern").glob("*/model.keras")
    models = {"tutorial": load_model(ROOT / "results/tutorial"), "modern": load_model(modern)}
    figure = Figure(figsize=(12, 5.4), layout="constrained")
    panels = figure.subplots(2, 4, sharey=True).ravel()
    print("Test error in %, all 10,000 digits.")
    for axes, (title, (change, strengths)) in zip(panels, CHANGES.items()):
        errors: dict[str, list[float]] = {name: [] for name in models}
        for strength in strengths:
            rng = np.random.default_rng(0)
            images = [np.clip(change(digit, rng, strength), 0, 255) for digit in test.images]
            changed = Split(np.rint(images).astype(np.uint8), test.labels)
            for name, model in models.items():
                errors[name].append(100 * zero_one_loss(model, changed))
        print()
        print(header(title, *(f"{strength:g}" for strength in strengths)))
        for (name, found), color, marker in zip(errors.items(), (ORANGE, BLUE), "so"):
            print(row(name, *(f"{error:.2f}" for error in found)))
            axes.plot(strengths, found, marker=marker, ms=4, color=color, label=name)
        axes.set(xlabel=title, yscale="log")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
        axes.yaxis.set_major_formatter("{x:g}")
    for axes in panels[::4]:
        axes.set_ylabel("test error (%)")
    panels[-1].axis("off")
    panels[-1].legend(*panels[0].get_legend_handles_labels(), frameon=False, loc="center")
    with whole_file(RESULTS / "robustness.png") as path:
        figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
