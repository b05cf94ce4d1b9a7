"""Read the digit in pictures: digit.onnx, onnxruntime, NumPy and Pillow, and nothing else.

python classify.py FILE...
"""

import os
import sys
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it would report its use to its makers
import onnxruntime

# Of Pillow's formats those that people have digits in. (It gives EPS to another program to run.)
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "AVIF", "JPEG2000", "TGA")
TOO_LARGE = (Image.DecompressionBombWarning, Image.DecompressionBombError)
warnings.simplefilter("error", Image.DecompressionBombWarning)
MODEL = Path(__file__).parent.parent / "digit.onnx"


def grey(file: str) -> np.ndarray:
    """A picture as a person sees it: upright, on white paper, in grey. uint8 [H, W]."""
    with Image.open(file, formats=FORMATS) as image:
        image = ImageOps.exif_transpose(image)
    image.thumbnail((4096, 4096))  # digit.onnx is made for pictures up to this
    if image.mode.startswith("I"):  # 16 bits a pixel: the upper 8, where Pillow would clip
        return (np.asarray(image).clip(0, 65535) // 256).astype(np.uint8)
    image = image.convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(paper, image).convert("L"))


def main(files: list[str]) -> int:
    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    failed = False
    for file in files:
        try:
            image = grey(file)
        except Exception as error:  # a damaged picture can raise anything
            why = getattr(error, "strerror", None) or "it is no picture, or a damaged one"
            if isinstance(error, TOO_LARGE):
                why = "it is too large"
            print(f"{file} cannot be read: {why}.", file=sys.stderr)
            failed = True
            continue
        probabilities, label, has_ink, is_digit = session.run(
            ["probabilities", "label", "has_ink", "is_digit"], {"image": image[np.newaxis]}
        )
        guess = f"{'' if is_digit[0] else '? '}{label[0]} {probabilities.max():.3f}"
        print(file, guess if has_ink[0] else "blank", sep="\t")
    return int(failed)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print("Usage: python classify.py FILE...", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(sys.argv[1:]))
