"""Write export/MODEL_CARD.md: what is measured, into the words of model_card.md.

    LENET_KERAS_DATA=... python benchmarks/model_card.py

Errors, confusion and parity are counted here and now. The tables that take minutes
are those that pictures.py, inference.py, limits.py and runtimes.py printed, kept under
benchmarks/results/.
"""

from __future__ import annotations

import re
from pathlib import Path

import keras
import numpy as np
import onnx
from table import header, row

from lenet_keras import load_mnist
from lenet_keras.data import Mnist, Split
from lenet_keras.model import build_lenet5
from lenet_keras.run import load_model, load_record
from lenet_keras.score import wilson_interval
from lenet_keras.ship.doubt import REFUSED
from lenet_keras.ship.parity import answers, parity, session
from lenet_keras.storage.files import whole_file

HERE = Path(__file__).parent
ROOT = HERE.parent
EXPORT = ROOT / "export"
FILES = ("digit.onnx", "lenet5.onnx", "lenet5-int8.onnx", "lenet5-float.onnx")


def runs(mnist: Mnist) -> dict[str, str]:
    """What is known of the trainings whose weights the files have."""
    record = load_record(ROOT / "results/tutorial")
    if record.data.digest != mnist.digest:
        raise SystemExit("The card is about MNIST: set LENET_KERAS_DATA to where it is.")
    (taught,) = (model.parent for model in (ROOT / "results/committee").glob("*/model.keras"))
    taught_record = load_record(taught)
    return {
        "seed": str(record.recipe.seed),
        "validation_error": f"{record.result.best_validation_error:.2f}",
        "epochs": str(record.epochs),
        "taught_run": taught.name,
        "taught_seed": str(taught_record.recipe.seed),
        "taught_epochs": str(taught_record.epochs),
        "taught_validation_error": f"{taught_record.result.best_validation_error:.2f}",
        "data_digest": record.data.digest,
    }


def errors(test: Split) -> dict[str, str]:
    """What each file misreads, and which digits digit.onnx takes for which."""
    found = {}
    for name in FILES:
        _, found[name] = answers(session((EXPORT / name).read_bytes()), test.images)
    table = [header("file", "wrong of 10,000", "test error", "95 % interval")]
    for name in FILES:
        wrong = int((found[name] != test.labels).sum())
        low, high = wilson_interval(wrong, len(test.labels))
        share = f"{100 * wrong / len(test.labels):.2f} %"
        table.append(row(name, wrong, share, f"{low:.2f} to {high:.2f} %"))
    accuracies = []
    for name, labels in found.items():
        right = np.mean(labels == test.labels)
        accuracies.append(f"- {{type: accuracy, name: 'Accuracy, {name}', value: {right:.4f}}}")
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (test.labels, found["digit.onnx"]), 1)
    rows = [row(f"**{digit}**", *counts) for digit, counts in enumerate(confusion)]
    return {
        "accuracies": "\n    ".join(accuracies),
        "errors": "\n".join(table),
        "confusion": "\n".join([header("", *range(10)), *rows]),
    }


def doubt(test: Split) -> dict[str, str]:
    """What digit.onnx refuses by, how many of these digits, and how sure it is of them."""
    model = onnx.load(EXPORT / "digit.onnx")
    about = {entry.key: entry.value for entry in model.metadata_props}
    run, parts = session(model), np.split(test.images, 20)
    found = [run.run(["is_digit", "label", "probabilities"], {"image": part}) for part in parts]
    is_digit, labels, probabilities = (np.concatenate(each) for each in zip(*found))
    return {
        "temperature": f"{float(about['temperature']):.2f}",
        "threshold": f"{float(about['threshold']):.2f}",
        "may_refuse": f"{100 * REFUSED:g}",
        "refused": f"{int(np.sum(~is_digit)):,}",
        "how_sure": f"{100 * probabilities.max(axis=1).mean():.2f}",
        "how_right": f"{100 * np.mean(labels == test.labels):.2f}",
    }


def rounding(test: Split) -> dict[str, str]:
    """How far lenet5.onnx is from Keras, and both from the same network in float64."""
    model = load_model(ROOT / "results/tutorial")
    lenet5 = onnx.load(EXPORT / "lenet5.onnx")
    compared = parity(model, lenet5, test)
    truth = exact_probabilities(model, test.images)
    logits = model.predict(test.images, batch_size=500, verbose=0)
    by_keras = keras.ops.convert_to_numpy(keras.ops.softmax(logits))  # float32, as parity has it
    (by_onnx,) = session(lenet5).run(["probabilities"], {"images": test.images})
    return {
        "keras_off": f"{np.abs(by_keras - truth).max():.1e}",
        "onnx_off": f"{np.abs(by_onnx - truth).max():.1e}",
        "difference": f"{compared.largest_difference:.1e}",
        "above": str(int((np.abs(by_onnx - by_keras).max(axis=1) > 1e-6).sum())),
        "mismatches": str(compared.label_mismatches),
    }


def exact_probabilities(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """The same network in float64, [N, 10]: what float32 runtimes can be measured against."""
    twin = build_lenet5(precision="float64")
    twin.set_weights(model.get_weights())
    to_hidden = keras.Model(twin.input, twin.get_layer("hidden").output)
    kernel, bias = model.get_layer("logits").get_weights()
    logits = to_hidden.predict(images, batch_size=500, verbose=0) @ kernel.astype(float) + bias
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def largest_sums() -> dict[str, str]:
    """How far two products of lenet5-int8.onnx can go where they are added in 16 bits."""
    initializers = onnx.load(EXPORT / "lenet5-int8.onnx").graph.initializer
    weights = [
        onnx.numpy_helper.to_array(each).astype(int)
        for each in initializers
        if each.data_type == onnx.TensorProto.INT8
    ]
    largest = max(int(np.abs(each).max()) for each in weights)
    return {
        "largest_weight": str(largest),
        "largest_pair": f"{2 * 255 * largest:,}",
        "largest_int16": f"{np.iinfo(np.int16).max:,}",
    }


def sizes() -> str:
    """Nodes and bytes of each file, and how small int8 is."""
    bytes_ = {name: (EXPORT / name).stat().st_size for name in FILES}
    rows = [
        row(name, len(onnx.load(EXPORT / name).graph.node), f"{size:,}")
        for name, size in bytes_.items()
    ]
    share = 100 * bytes_["lenet5-int8.onnx"] / bytes_["lenet5.onnx"]
    said = f"int8 takes {share:.1f} % of float32's bytes (30 are allowed)."
    return "\n".join([header("file", "nodes", "bytes"), *rows, "", said])


def main() -> None:
    mnist = load_mnist("mnist")
    filled = {
        **runs(mnist),
        **errors(mnist.test),
        **doubt(mnist.test),
        **rounding(mnist.test),
        **largest_sums(),
        "sizes": sizes(),
        "digests": (EXPORT / "SHA256SUMS").read_text().strip(),
        **{
            name: (HERE / "results" / f"{name}.md").read_text(encoding="utf-8").strip()
            for name in ("pictures", "inference", "limits", "runtimes")
        },
    }
    words = (HERE / "model_card.md").read_text(encoding="utf-8")
    with whole_file(EXPORT / "MODEL_CARD.md") as path:
        path.write_text(re.sub(r"<<(\w+)>>", lambda m: filled[m[1]], words), encoding="utf-8")


if __name__ == "__main__":
    main()
