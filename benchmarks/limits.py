"""What digit.onnx is not for, in numbers: how sure it is where there is no right answer.

    LENET_KERAS_DATA=... python benchmarks/limits.py

It knows ten digits and nothing else: what has ink is called one of them.
"""

from __future__ import annotations

import os
import string

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lenet_keras import Classifier, load_mnist


def letters() -> list[np.ndarray]:
    """A to Z and a to z in Pillow's own font, dark on white."""
    font, pictures = ImageFont.load_default(80), []
    for letter in string.ascii_letters:
        image = Image.new("L", (120, 120), 255)
        ImageDraw.Draw(image).text((60, 60), letter, 0, font, anchor="mm")
        pictures.append(np.asarray(image))
    return pictures


def main() -> None:
    digits = load_mnist(os.environ.get("LENET_KERAS_DATA", "mnist")).test.images
    pairs = np.concatenate([digits[:1000], digits[1000:2000]], axis=2)
    noise = np.random.default_rng(2026).integers(0, 256, (200, 28, 28), np.uint8)
    classifier = Classifier()
    print("| picture | how many | taken for a digit | median of how sure | over 90 % sure |")
    print("| --- | --- | --- | --- | --- |")
    for name, pictures in {
        "single digits, for comparison": digits[:1000],
        "two digits side by side": pairs,
        "printed letters": letters(),
        "pixels of pure noise": noise,
    }.items():
        answers = classifier(pictures)
        sure = np.array([answer.probability for answer in answers if answer.has_ink])
        how_sure = "| – | – |"
        if len(sure):
            how_sure = f"| {100 * np.median(sure):.1f} % | {100 * np.mean(sure > 0.9):.0f} % |"
        print(f"| {name} | {len(answers):,} | {len(sure):,} {how_sure}")


if __name__ == "__main__":
    main()
