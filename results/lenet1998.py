"""The LeNet-5 of 1998, trained as long as its paper says: 20 times through all 60,000 digits.

    LENET_KERAS_DATA=... python results/lenet1998.py

Writes a line of results/lenet1998/history.csv after each epoch, about 20 s on one core. As in 1998,
no digits are kept apart for validation. So nothing is chosen here: training ends after the
twentieth epoch, whatever the test digits say.

The network is written in lesson 14 and nowhere else. Its cells are run from there.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).parent
LESSON = HERE.parent / "notebooks/14_lenet5_1998.ipynb"
CELLS = ("imports-code", "squash-layer", "subsampling-layer", "table-layer", "bitmaps-layer")
CELLS += ("model-layer", "loss-layer")

EPOCHS, BATCH_SIZE, MOMENTUM, SEED = 20, 20, 0.9, 1998
RATE = 1e-3  # falls to 0 along half a cosine; both as in the lesson


def lesson() -> SimpleNamespace:
    """What lesson 14 defines: build_lenet5_1998, penalty, TABLE, BITMAPS and the layers."""
    cells = json.loads(LESSON.read_text(encoding="utf-8"))["cells"]
    source = {cell["id"]: "".join(cell["source"]) for cell in cells}
    names: dict = {}
    for id in CELLS:
        exec(compile(source[id], f"{LESSON.name}, {id}", "exec"), names)
    return SimpleNamespace(**names)


def main() -> None:
    """Train, and write a line of history after each epoch."""
    lenet = lesson()
    import keras
    import numpy as np

    from lenet_keras import load_mnist

    mnist = load_mnist("mnist")
    images, labels = (np.concatenate(pair) for pair in zip(mnist.train, mnist.valid))
    keras.utils.set_random_seed(SEED)
    model = lenet.build_lenet5_1998()
    rate = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * len(labels) // BATCH_SIZE)
    model.compile(keras.optimizers.SGD(rate, momentum=MOMENTUM), loss=lenet.penalty)

    def wrong(images: np.ndarray, labels: np.ndarray) -> int:
        distances = model.predict(images, batch_size=500, verbose=0)
        return int((distances.argmin(axis=1) != labels).sum())

    file = HERE / "lenet1998/history.csv"
    file.parent.mkdir(exist_ok=True)
    with file.open("w", newline="") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(("epoch", "penalty", "train_wrong", "test_wrong"))

        def note(epoch: int, logs: dict) -> None:
            cost = f"{logs['loss']:.4f}"
            rows.writerow((epoch + 1, cost, wrong(images, labels), wrong(*mnist.test)))
            out.flush()

        noting = keras.callbacks.LambdaCallback(on_epoch_end=note)
        fit = {"batch_size": BATCH_SIZE, "epochs": EPOCHS, "verbose": 2}
        model.fit(images, labels, **fit, callbacks=[noting])


if __name__ == "__main__":
    main()
