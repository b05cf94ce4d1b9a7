"""Read the digit in pictures: digit.onnx, onnxruntime, NumPy and Pillow, and nothing else.

python classify.py FILE...
"""

import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it would report its use to its makers
import onnxruntime

MODEL = Path(__file__).parent.parent / "digit.onnx"


def grey(file: str) -> np.ndarray:
    """A picture as a person sees it: upright, on white paper, in grey. uint8 [H, W]."""
    with Image.open(file) as image:
        image = ImageOps.exif_transpose(image).convert("RGBA")
    image.thumbnail((4096, 4096))
    return np.asarray(
        Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("L")
    )


def main(files: list[str]) -> int:
    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    failed = False
    for file in files:
        try:
            image = grey(file)
        except OSError as error:
            print(f"{file}: {error.strerror or 'not a picture'}", file=sys.stderr)
            failed = True
            continue
        probabilities, label, has_ink = session.run(
            ["probabilities", "label", "has_ink"], {"image": image[np.newaxis]}
        )
        print(file, f"{label[0]} {probabilities.max():.3f}" if has_ink[0] else "blank", sep="\t")
    return int(failed)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
