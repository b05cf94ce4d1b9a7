"""What a network refuses: letters, two digits, scribbles, frames; and how many true digits.

    LENET_KERAS_DATA=... python benchmarks/doubt.py RUN ...

Temperature and threshold are fitted to distorted validation digits (lenet_keras/ship/doubt.py), as
an export does it, and each network reads pictures through a digit.onnx made here. It may have
learned from letters, pairs, scribbles and frames of our own pen: here they are another hand's. It
has learned from no printed letter, and from no two digits of MNIST side by side. Letters that are
a digit's twin, or nearly, are counted by themselves.

The last rows are of MNIST's test digits: how wrong they are, and how far the mean of its
probabilities is from how often it is right.
"""

from __future__ import annotations

import string
import sys
from pathlib import Path

import matplotlib
import numpy as np
import onnxruntime
from limits import printed
from penned import percent, picture
from PIL import ImageFont
from table import header, row

from lenet_keras import load_mnist
from lenet_keras.penned import LETTERS, frame, pair, scribble
from lenet_keras.run import load_model
from lenet_keras.ship.graphs import calibrated_digit_onnx
from lenet_keras.ship.parity import answers, session

TWINS = set(string.ascii_letters) - set(LETTERS) - set("ckvwx")
DEJAVU = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Italic")
OTHERS = ("STIXGeneral", "STIXGeneralItalic", "cmr10", "cmtt10", "cmti10")
FONTS = [  # those that come with matplotlib
    ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf"), 80)
    for name in DEJAVU + OTHERS
]


def refused(network: onnxruntime.InferenceSession, pictures: np.ndarray) -> int:
    parts = [pictures[i : i + 100] for i in range(0, len(pictures), 100)]
    return sum(int(np.sum(~network.run(["is_digit"], {"image": part})[0])) for part in parts)


def main(folders: list[str]) -> None:
    mnist, rng = load_mnist("mnist"), np.random.default_rng(2026)
    digits, chosen = mnist.test.images, list(LETTERS)
    written = np.stack([picture(lambda _, k=k: LETTERS[k], rng) for k in chosen * 10])
    kinds = {
        "two digits side by side": np.concatenate([digits[:1000], digits[1000:2000]], axis=2),
        "printed letters": printed(sorted(set(string.ascii_letters) - TWINS), FONTS),
        "letters of our pen": written,
        "scribbles of our pen": np.stack([picture(scribble, rng) for _ in range(300)]),
        "frames": np.stack([picture(frame, rng) for _ in range(300)]),
        "two digits of our pen": np.stack([picture(pair, rng) for _ in range(300)]),
        f"printed twins of digits, {' '.join(sorted(TWINS))}": printed(sorted(TWINS), FONTS),
        "MNIST's test digits": digits,
    }
    made = [calibrated_digit_onnx(load_model(folder), mnist.valid) for folder in folders]
    networks = [session(model) for model in made]
    about = [network.get_modelmeta().custom_metadata_map for network in networks]
    print(header("refused", "how many", *folders))
    for name, pictures in kinds.items():
        shares = [percent(refused(network, pictures), len(pictures)) for network in networks]
        print(row(name, f"{len(pictures):,}", *shares))
    print()
    print(header("", *folders))
    print(row("temperature", *(f"{float(each['temperature']):.2f}" for each in about)))
    print(row("threshold", *(f"{float(each['threshold']):.3f}" for each in about)))
    names = ("error", "cost", "mean of how sure less how often right")
    table: dict[str, list[str]] = {name: [] for name in names}
    for network in networks:
        p, labels = answers(network, digits)
        right = labels == mnist.test.labels
        cost = -np.log(p[np.arange(len(p)), mnist.test.labels] + 1e-12).mean()
        values = (percent(int(np.sum(~right)), len(p)), f"{cost:.4f}")
        gap = f"{100 * (p.max(axis=1).mean() - right.mean()):+.2f} points"
        for cells, value in zip(table.values(), (*values, gap)):
            cells.append(value)
    for name, cells in table.items():
        print(row(f"the test digits: {name}", *cells))


if __name__ == "__main__":
    main(sys.argv[1:])
