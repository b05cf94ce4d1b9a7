"""Write export/MODEL_CARD.md: what is measured, into the words of model_card.md.

    LENET_KERAS_DATA=... python benchmarks/model_card.py

Errors, confusion, parity and digests are counted here and now. The tables that take minutes
are those that pictures.py, inference.py and limits.py printed, kept under benchmarks/results/.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import keras
import numpy as np
import onnx

from lenet_keras import load_mnist
from lenet_keras.model import build_lenet5
from lenet_keras.ship.onnx_export import parity, session
from lenet_keras.storage.files import whole_file
from lenet_keras.training import load_model, wilson_interval

HERE = Path(__file__).parent
ROOT = HERE.parent
FILES = ("digit.onnx", "lenet5.onnx", "lenet5-int8.onnx")


def exact_probabilities(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """The same network in float64, [N, 10]: what float32 runtimes can be measured against."""
    keras.config.set_dtype_policy("float64")
    twin = build_lenet5()
    keras.config.set_dtype_policy("float32")
    twin.set_weights(model.get_weights())
    to_hidden = keras.Model(twin.input, twin.get_layer("hidden").output)
    kernel, bias = model.get_layer("logits").get_weights()
    hidden = to_hidden.predict(images, batch_size=500, verbose=0)
    return softmax(hidden @ kernel.astype(float) + bias)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(float) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def main() -> None:
    mnist = load_mnist(os.environ.get("LENET_KERAS_DATA", "mnist"))
    images, labels = mnist.test
    record = json.loads((ROOT / "results/tutorial/run.json").read_text(encoding="utf-8"))
    if record["data"]["digest"] != mnist.digest:
        raise SystemExit("The card is about MNIST: set LENET_KERAS_DATA to where it is.")
    keras_model = load_model(ROOT / "results/tutorial")
    (modern,) = (model.parent for model in (ROOT / "results/modern").glob("*/model.keras"))
    modern_record = json.loads((modern / "run.json").read_text(encoding="utf-8"))

    errors = [
        "| file | wrong of 10,000 | test error | 95 % interval |",
        "| --- | --- | --- | --- |",
    ]
    digests = []
    for name in FILES:
        content = (ROOT / "export" / name).read_bytes()
        run = session(content)
        (found,) = run.run(["label"], {run.get_inputs()[0].name: images})
        wrong = int((found != labels).sum())
        low, high = wilson_interval(wrong, len(labels))
        share = 100 * wrong / len(labels)
        errors.append(f"| {name} | {wrong} | {share:.2f} % | {low:.2f} to {high:.2f} % |")
        digests.append(f"{hashlib.sha256(content).hexdigest()}  {name}")
        if name == "digit.onnx":
            confusion = np.zeros((10, 10), int)
            np.add.at(confusion, (labels, found), 1)

    header = "| | " + " | ".join(map(str, range(10))) + " |"
    rows = [
        f"| **{digit}** | " + " | ".join(map(str, row)) + " |"
        for digit, row in enumerate(confusion)
    ]
    exact = parity(keras_model, onnx.load(ROOT / "export/lenet5.onnx"), mnist.test)
    truth = exact_probabilities(keras_model, images)
    logits = keras_model.predict(images, batch_size=500, verbose=0)
    by_keras = keras.ops.convert_to_numpy(keras.ops.softmax(logits))  # float32, as parity has it
    lenet5 = session((ROOT / "export/lenet5.onnx").read_bytes())
    (by_onnx,) = lenet5.run(["probabilities"], {"images": images})
    int8 = onnx.load(ROOT / "export/lenet5-int8.onnx").graph.initializer
    largest_weight = max(
        int(abs(onnx.numpy_helper.to_array(weights).astype(int)).max())
        for weights in int8
        if weights.data_type == onnx.TensorProto.INT8
    )
    filled = {
        "keras_off": f"{np.abs(by_keras - truth).max():.1e}",
        "onnx_off": f"{np.abs(by_onnx - truth).max():.1e}",
        "errors": "\n".join(errors),
        "confusion": "\n".join([header, "| --- " * 11 + "|", *rows]),
        "difference": f"{exact.largest_difference:.1e}",
        "above": str(int((np.abs(by_onnx - by_keras).max(axis=1) > 1e-6).sum())),
        "mismatches": str(exact.label_mismatches),
        "digests": "\n".join(digests),
        "largest_weight": str(largest_weight),
        "largest_pair": f"{2 * 255 * largest_weight:,}",
        "largest_int16": f"{np.iinfo(np.int16).max:,}",
        "seed": str(record["recipe"]["seed"]),
        "validation_error": f"{record['result']['best_validation_error']:.2f}",
        "epochs": str(record["epochs"]),
        "modern_run": modern.name,
        "modern_seed": str(modern_record["recipe"]["seed"]),
        "modern_epochs": str(modern_record["epochs"]),
        "modern_validation_error": f"{modern_record['result']['best_validation_error']:.2f}",
        "data_digest": record["data"]["digest"],
        **{
            name: (HERE / "results" / f"{name}.md").read_text(encoding="utf-8").strip()
            for name in ("pictures", "inference", "limits")
        },
    }
    words = (HERE / "model_card.md").read_text(encoding="utf-8")
    with whole_file(ROOT / "export/MODEL_CARD.md") as path:
        path.write_text(re.sub(r"<<(\w+)>>", lambda m: filled[m[1]], words), encoding="utf-8")


if __name__ == "__main__":
    main()
