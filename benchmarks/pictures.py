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


def photographed(digit: Picture, rng: np.random.Generator, light: Picture | float = 1) -> Picture:
    """Dark ink on light paper, 200x200, under a light from 0 to 1."""
    ink = np.pad(np.asarray(large(digit)), 30) / 255
    return np.rint((220 - 160 * ink) * light).astype(np.uint8)


def across(rng: np.random.Generator) -> np.ndarray:
    """From 0 to 1, rising in some direction: float64 [200, 200]."""
    angle, along = rng.uniform(0, 2 * np.pi), np.linspace(-1, 1, 200)
    rising = np.cos(angle) * along + np.sin(angle) * along[:, None]
    return (rising - rising.min()) / np.ptp(rising)


def shadowed(digit: Picture, rng: np.random.Generator, soft: float) -> Picture:
    """Half as light beyond a line; `soft`: the share of the picture that the edge takes."""
    edge = rng.uniform(0.3, 0.7)
    light = 1 - 0.5 * np.clip((across(rng) - edge) / soft + 0.5, 0, 1)
    return photographed(digit, rng, light)


def vignetted(digit: Picture, rng: np.random.Generator) -> Picture:
    """As through an old lens: the corners four tenths as light as the middle."""
    along = np.linspace(-1, 1, 200)
    return photographed(digit, rng, 1 - 0.3 * (along**2 + along[:, None] ** 2))


def fogged(digit: Picture, rng: np.random.Generator) -> Picture:
    """Light clouds before light ink on black."""
    clouds = np.asarray(Image.fromarray(rng.random((4, 4), np.float32)).resize((28, 28), BICUBIC))
    return np.rint(255 * np.clip(0.5 * digit / 255 + 0.5 * clouds, 0, 1)).astype(np.uint8)


def celled(digit: Picture, rng: np.random.Generator, lines: tuple[int, int] = (0, 12)) -> Picture:
    """In a table's cell: a line of 4 pixels along every side, so far from the border."""
    picture = photographed(digit, rng).copy()
    for turns in range(4):
        first = rng.integers(lines[0], lines[1] + 1)
        np.rot90(picture, turns)[first : first + 4] = 60
    return picture


def ruled(digit: Picture, rng: np.random.Generator, squared: bool = False) -> Picture:
    """On paper with a grey line of 2 pixels every 40, or with squares."""
    picture, first = photographed(digit, rng).copy(), rng.integers(0, 40)
    for begin in range(first, 199, 40):
        for lines in (picture, picture.T)[: 1 + squared]:
            lines[begin : begin + 2] = np.minimum(lines[begin : begin + 2], 150)
    return picture


def striped(digit: Picture, rng: np.random.Generator) -> Picture:
    """A quarter on the left and one on the right inverted, as MNIST-C has it."""
    digit = digit.copy()
    digit[:, :7], digit[:, 21:] = 255 - digit[:, :7], 255 - digit[:, 21:]
    return digit


def speckled(digit: Picture, rng: np.random.Generator, share: float) -> Picture:
    """This share of the pixels black or white."""
    chance = rng.random(digit.shape)
    return np.where(chance < share, 255 * (chance < share / 2), digit).astype(np.uint8)


def crossed(digit: Picture, rng: np.random.Generator, every: int) -> Picture:
    """A line from side to side, of every n-th pixel only."""
    digit = digit.copy()
    start, end = rng.integers(2, 26, 2)
    rows = np.rint(np.linspace(start, end, 28)).astype(int)
    digit[rows[::every], np.arange(28)[::every]] = 255
    return digit


def tight(digit: Picture, rng: np.random.Generator) -> Picture:
    """Cut out along its ink, five times as large."""
    rows, columns = np.flatnonzero(digit.any(1)), np.flatnonzero(digit.any(0))
    cut = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return 255 - cut.repeat(5, 0).repeat(5, 1)


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

PAPER: dict[str, Change] = {
    "photographed": photographed,
    "under a shadow with a soft edge": partial(shadowed, soft=0.5),
    "under a shadow with a sharp edge": partial(shadowed, soft=0.02),
    "dark corners": vignetted,
    "in fog": fogged,
    "in a frame": partial(celled, lines=(0, 0)),
    "in a table's cell": celled,
    "on ruled paper": ruled,
    "on squared paper": partial(ruled, squared=True),
    "cut out along the ink": tight,
    "a quarter of each side inverted": striped,
    **{f"{n} % of the pixels black or white": partial(speckled, share=n / 100) for n in (1, 3, 10)},
    "a line of dots across": partial(crossed, every=2),
    "a line across": partial(crossed, every=1),
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
    print("\nOn other paper, without a limit:\n")
    print_costs(PAPER, split, base)
    return int(worst > LIMIT + 1e-9)


if __name__ == "__main__":
    sys.exit(main())
