"""What digit.onnx is not for, in numbers: what it takes for a digit, and how sure it then is.

    LENET_KERAS_DATA=... python benchmarks/limits.py

It knows ten digits and nothing else, and says of the rest that it is none (is_digit), as well as
it can: benchmarks/doubt.py has more kinds. How sure it is, is of what it takes for a digit. On
paper with nothing written on it, it should find no ink (has_ink).
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterable, Sequence

import numpy as np
from pictures import PAPER
from PIL import Image, ImageDraw, ImageFont
from table import header, row

from lenet_keras import Classifier, load_mnist

EMPTY = (
    "photographed",
    "dark corners",
    "in a frame",
    "in a table's cell",
    "on squared paper",
    "under a shadow with a sharp edge",
    "under a shadow with a soft edge",
    "on ruled paper",
)  # of PAPER


def printed(letters: Iterable[str], fonts: Sequence[ImageFont.FreeTypeFont]) -> np.ndarray:
    """Each letter in every font, dark on white: uint8 [N, 120, 120]."""
    pictures = []
    for font, letter in itertools.product(fonts, letters):
        image = Image.new("L", (120, 120), 255)
        ImageDraw.Draw(image).text((60, 60), letter, 0, font, anchor="mm")
        pictures.append(np.asarray(image))
    return np.stack(pictures)


def one_with_flag(share: float) -> np.ndarray:
    """A 1 as it is written in Europe, its flag so long in parts of its height; pen of 18."""
    image, height = Image.new("L", (280, 280), 255), 196
    top, flag = (150, 42), share * height
    stroke = [(top[0] - flag, top[1] + flag), top, (top[0], top[1] + height)]
    draw = ImageDraw.Draw(image)
    draw.line(stroke, 0, 18, joint="curve")
    for x, y in stroke:
        draw.ellipse((x - 9, y - 9, x + 9, y + 9), 0)
    return np.asarray(image)


def over_90(sure: np.ndarray) -> str:
    return f"{100 * np.mean(sure > 0.9):.0f} %" if len(sure) else "–"


def main() -> None:
    digits = load_mnist("mnist").test.images
    pairs = np.concatenate([digits[:1000], digits[1000:2000]], axis=2)
    noise = np.random.default_rng(2026).integers(0, 256, (200, 28, 28), np.uint8)
    classifier = Classifier()
    print(
        header("picture", "how many", "taken for a digit", "median of how sure", "over 90 % sure")
    )
    for name, pictures in {
        "single digits, for comparison": digits[:1000],
        "two digits side by side": pairs,
        "printed letters, O, S and other twins of digits among them": printed(
            string.ascii_letters, [ImageFont.load_default(80)]
        ),
        "pixels of pure noise": noise,
    }.items():
        answers = classifier(pictures)
        sure = np.array([answer.probability for answer in answers if answer.is_digit])
        median = f"{100 * np.median(sure):.1f} %" if len(sure) else "–"
        print(row(name, f"{len(answers):,}", f"{len(sure):,}", median, over_90(sure)))
    print()
    print(
        header("1,000 empty sheets each", "said to have ink", "taken for a digit", "over 90 % sure")
    )
    for name in EMPTY:
        rng, nothing = np.random.default_rng(2026), np.zeros((28, 28), np.uint8)
        answers = list(classifier.stream(PAPER[name](nothing, rng) for _ in range(1_000)))
        sure = np.array([answer.probability for answer in answers if answer.is_digit])
        with_ink = sum(answer.has_ink for answer in answers)
        print(row(name, f"{with_ink:,}", f"{len(sure):,}", over_90(sure)))
    shares = (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
    ones = classifier([one_with_flag(share) for share in shares])
    print()
    print(header("a 1, its flag of its height", *(f"{share:.0%}" for share in shares)))
    said = (f"{one.label if one.is_digit else '?'} ({one.probability:.0%})" for one in ones)
    print(row("is read as", *said))


if __name__ == "__main__":
    main()
