"""What is asked of a graph before it becomes a file: that it is valid, and says what Keras says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from lenet_keras.data import Split
from lenet_keras.model import SIDE
from lenet_keras.ship.graphs import OPSET, ExportError
from lenet_keras.ship.normalization import IR_VERSION

__all__ = ["Parity", "answers", "check", "parity", "session"]

LARGEST_PAIR = 2**15 - 1  # processors without VNNI add int8 products in pairs, in 16 bits
IMAGES = ("images", "uint8", ["N", SIDE, SIDE])
LABELS = [("probabilities", "float32", ["N", 10]), ("label", "int64", ["N"])]
SIGNATURES = {
    "lenet5": ([IMAGES], LABELS),
    "lenet5-int8": ([IMAGES], LABELS),
    "lenet5-float": (
        [("image", "float32", [1, 1, SIDE, SIDE])],
        [("probabilities", "float32", [1, 10])],
    ),
    "digit": (
        [("image", "uint8", ["N", "H", "W"])],
        [
            *LABELS,
            ("normalized", "uint8", ["N", SIDE, SIDE]),
            ("has_ink", "bool", ["N"]),
            ("is_digit", "bool", ["N"]),
        ],
    ),
}


def check(model: onnx.ModelProto) -> None:
    """Names, types, shapes, versions, onnx's full check, strict shape inference, int8 weights.

    Raises:
        ExportError: one of these is wrong.
    """

    def signature(values: Sequence[onnx.ValueInfoProto]) -> list[tuple]:
        return [
            (
                value.name,
                str(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)),
                [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim],
            )
            for value in values
        ]

    name = model.graph.name
    found = (signature(model.graph.input), signature(model.graph.output))
    if found != SIGNATURES.get(name):
        raise ExportError(f"{name}: the inputs and outputs are {found}.")
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if model.ir_version != IR_VERSION or opsets.get("") != OPSET or len(opsets) != 1:
        raise ExportError(f"{name}: IR version {model.ir_version} and opsets {opsets}.")
    try:
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"{name}: onnx finds it invalid ({error}).") from None
    for weights in model.graph.initializer:
        if weights.data_type == TensorProto.INT8:
            pair = 2 * 255 * int(abs(numpy_helper.to_array(weights).astype(int)).max())
            if pair > LARGEST_PAIR:
                raise ExportError(
                    f"{name}: two products of a byte and {weights.name} can add up to {pair:,}, "
                    f"but processors without VNNI clip at {LARGEST_PAIR:,}: quantize the weights "
                    "with reduce_range=True."
                )


def session(model: onnx.ModelProto | bytes, threads: int = 0) -> onnxruntime.InferenceSession:
    """An onnxruntime session on the CPU; 0 threads leaves the number to onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class Parity:
    """An ONNX file against the Keras model on the same digits. Errors are in percent."""

    digits: int
    largest_difference: float
    label_mismatches: int
    keras_error: float
    onnx_error: float


def parity(model: keras.Model, exported: onnx.ModelProto, split: Split) -> Parity:
    """Run both on all digits of a split and compare.

    Args:
        model: uint8 [N, 28, 28] to logits.
        exported: any of the four graphs.
        split: digits and labels.

    Returns:
        How far apart they are, and the errors of both.
    """
    logits = model.predict(split.images, batch_size=500, verbose=0)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    probabilities, labels = answers(session(exported), split.images)
    keras_labels = logits.argmax(axis=1)
    return Parity(
        digits=len(labels),
        largest_difference=float(np.abs(probabilities - expected).max()),
        label_mismatches=int((labels != keras_labels).sum()),
        keras_error=100 * float(np.mean(keras_labels != split.labels)),
        onnx_error=100 * float(np.mean(labels != split.labels)),
    )


def answers(run: onnxruntime.InferenceSession, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What any of the four files says of digits as MNIST has them.

    Args:
        run: of the file.
        images: uint8 [N, 28, 28].

    Returns:
        float32 [N, 10], their probabilities, and int64 [N], their labels.
    """
    (feed,) = run.get_inputs()
    if feed.type == "tensor(float)":  # one at a time, and no label
        ones = images.astype(np.float32)[:, None, None]
        found = np.concatenate([run.run(["probabilities"], {feed.name: one})[0] for one in ones])
        return found, found.argmax(axis=1)
    parts = [
        run.run(["probabilities", "label"], {feed.name: images[i : i + 500]})
        for i in range(0, len(images), 500)
    ]
    probabilities, labels = (np.concatenate(each) for each in zip(*parts))
    return probabilities, labels
