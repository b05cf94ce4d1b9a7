"""What it costs digit.onnx to be fed pictures as they come: MNIST's test digits, changed.

    LENET_KERAS_DATA=... python benchmarks/pictures.py

For each change, digit.onnx's error on the 10,000 changed digits, and how many points that is
above that of the network in it, given the originals as they are. Up to 0.3 are allowed for the
changes in the first table; ends with 1 if one costs more.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnx.utils
import onnxruntime
from PIL import Image, ImageFilter
from table import header, row

from lenet_keras import load_mnist
from lenet_keras.data import Split

EXPORT = Path(__file__).parent.parent / "export"
LIMIT = 0.3

Picture = np.ndarray  # uint8 [H, W]
Change = Callable[[Picture, np.random.Generator], Picture]
NEAREST, BICUBIC = Image.Resampling.NEAREST, Image.Resampling.BICUBIC
HOW = {"hard pixels": NEAREST, "bilinear": Image.Resampling.BILINEAR, "bicubic": BICUBIC}


def same(digit: Picture, rng: np.random.Generator) -> Picture:
    return digit


def inverted(digit: Picture, rng: np.random.Generator) -> Picture:
    return 255 - digit


def enlarged(
    digit: Picture, rng: np.random.Generator, times: int, how: Image.Resampling = BICUBIC
) -> Picture:
    return np.asarray(Image.fromarray(digit).resize((28 * times, 28 * times), how))


def padded(digit: Picture, rng: np.random.Generator, most: int) -> Picture:
    """Paper around the digit, on every side as much as chance wants."""
    return np.pad(digit, rng.integers(0, most + 1, (2, 2)))


def shifted(digit: Picture, rng: np.random.Generator) -> Picture:
    """Moved inside its own 28x28 as far as the ink allows."""
    rows, columns = np.flatnonzero(digit.any(1)), np.flatnonzero(digit.any(0))
    down = rng.integers(-rows[0], 28 - rows[-1])
    right = rng.integers(-columns[0], 28 - columns[-1])
    return np.roll(digit, (down, right), (0, 1))


def darker(digit: Picture, rng: np.random.Generator, noise: float = 0) -> Picture:
    """Paper of gray 60 to 200, ink darker by at least 50."""
    paper = rng.integers(60, 201)
    return inked(digit, rng, paper, rng.integers(0, paper - 49), noise)


def lighter(digit: Picture, rng: np.random.Generator, noise: float = 0) -> Picture:
    """Paper of gray 60 to 200, ink lighter by at least 50."""
    paper = rng.integers(60, 201)
    return inked(digit, rng, paper, rng.integers(paper + 50, 256), noise)


def inked(digit: Picture, rng: np.random.Generator, paper: int, ink: int, noise: float) -> Picture:
    gray = paper + (ink - paper) * (digit / 255.0)
    return np.clip(np.rint(gray + rng.normal(0, noise, digit.shape)), 0, 255).astype(np.uint8)


def as_jpeg(digit: Picture, rng: np.random.Generator, quality: int) -> Picture:
    file = io.BytesIO()
    Image.fromarray(digit).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def large(digit: Picture) -> Image.Image:
    """Five times as large, for changes finer than a pixel."""
    return Image.fromarray(digit).resize((140, 140), BICUBIC)


def turned(digit: Picture, rng: np.random.Generator, degrees: float) -> Picture:
    angle = degrees * rng.choice((-1, 1))
    return np.asarray(large(digit).rotate(angle, BICUBIC, expand=True))


def blurred(digit: Picture, rng: np.random.Generator, radius: float) -> Picture:
    return np.asarray(large(digit).filter(ImageFilter.GaussianBlur(5 * radius)))


def thinned(digit: Picture, rng: np.random.Generator, steps: int) -> Picture:
    """Strokes lose `steps` fifths of a pixel of 28 on either side, as under a thinner pen."""
    return np.asarray(large(digit).filter(ImageFilter.MinFilter(2 * steps + 1)))


def covered(digit: Picture, rng: np.random.Generator, side: int) -> Picture:
    """A square of paper, `side` pixels of 28, laid on the middle 20x20 where chance wants."""
    digit = digit.copy()
    top, left = rng.integers(4, 24 - side + 1, 2)
    digit[top : top + side, left : left + side] = 0
    return digit


def then(*changes: Change) -> Change:
    """One after the other."""

    def change(digit: Picture, rng: np.random.Generator) -> Picture:
        for step in changes:
            digit = step(digit, rng)
        return digit

    return change


AS_THEY_COME: dict[str, Change] = {
    "as they are": same,
    **{
        f"enlarged x{n}, {how}": partial(enlarged, times=n, how=HOW[how])
        for how in HOW
        for n in (3, 5, 10, 20)
    },
    "inverted": inverted,
    "shifted": shifted,
    "shifted, x3": then(shifted, partial(enlarged, times=3)),
    "darker on grey paper": darker,
    "lighter on grey paper": lighter,
    "padded to odd shapes": partial(padded, most=200),
    "x5, padded, inverted": then(partial(enlarged, times=5), partial(padded, most=400), inverted),
}
HARDER: dict[str, Change] = {
    **{f"grey paper with noise (sd {n})": partial(darker, noise=n) for n in (4, 8)},
    "padded, grey paper with noise (sd 8)": then(
        partial(padded, most=100), partial(lighter, noise=8)
    ),
    "x10, JPEG of quality 50": then(
        partial(enlarged, times=10), inverted, partial(as_jpeg, quality=50)
    ),
    **{f"turned by {n} degrees": partial(turned, degrees=n) for n in (10, 20, 30, 45, 60, 90)},
    **{f"strokes {0.4 * n:.1f} of 28 pixels thinner": partial(thinned, steps=n) for n in (1, 2, 3)},
    **{f"blurred (sd {n} of 28 pixels)": partial(blurred, radius=n) for n in (1, 2)},
    **{f"{n}x{n} of 28x28 pixels hidden": partial(covered, side=n) for n in (4, 8)},
}


def batches(pictures: Iterator[Picture]) -> Iterator[tuple[list[int], np.ndarray]]:
    """Pictures of the same shape together, about a megabyte at a time."""
    waiting: dict[tuple[int, ...], list[tuple[int, Picture]]] = {}
    for i, picture in enumerate(pictures):
        group = waiting.setdefault(picture.shape, [])
        group.append((i, picture))
        if len(group) * picture.size >= 1 << 20:
            yield [j for j, _ in group], np.stack([p for _, p in group])
            del waiting[picture.shape]
    for group in waiting.values():
        yield [j for j, _ in group], np.stack([p for _, p in group])


def errors(session: onnxruntime.InferenceSession, split: Split, change: Change) -> int:
    """How many of the changed digits are misread; a digit taken for blank counts as misread."""
    rng, wrong = np.random.default_rng(2026), 0
    for where, pictures in batches(change(digit, rng) for digit in split.images):
        label, has_ink = session.run(["label", "has_ink"], {"image": pictures})
        wrong += int(np.sum((label != split.labels[where]) | ~has_ink))
    return wrong


def print_costs(changes: dict[str, Change], split: Split, base: float) -> float:
    """Print a row for each change; returns the largest cost in points."""
    digit, worst = onnxruntime.InferenceSession(EXPORT / "digit.onnx"), -np.inf
    print(header("the test digits", "error", "points"))
    for name, change in changes.items():
        error = 100 * errors(digit, split, change) / len(split.labels)
        print(row(name, f"{error:.2f} %", f"{error - base:+.2f}"))
        worst = max(worst, error - base)
    return worst


def main() -> int:
    split = load_mnist("mnist").test
    whole = onnx.utils.Extractor(onnx.load(EXPORT / "digit.onnx"))
    network = whole.extract_model(["normalized"], ["label"]).SerializeToString()
    (labels,) = onnxruntime.InferenceSession(network).run(None, {"normalized": split.images})
    base = 100 * float(np.mean(labels != split.labels))
    worst = print_costs(AS_THEY_COME, split, base)
    print("\nHarder, without a limit:\n")
    print_costs(HARDER, split, base)
    return int(worst > LIMIT + 1e-9)


if __name__ == "__main__":
    sys.exit(main())
