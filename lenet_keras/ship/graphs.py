"""The four graphs: the trained network as ONNX has it, in floats, in bytes, behind pictures.

Each is an ``onnx.ModelProto``; ``onnx_export.py`` makes files of them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lenet_keras.data import Split
from lenet_keras.errors import LenetKerasError
from lenet_keras.model import SIDE, build_lenet5
from lenet_keras.ship.doubt import Doubt, apply_temperature, doubt_of, with_is_digit
from lenet_keras.ship.normalization import IR_VERSION, digit_model

__all__ = [
    "ExportError",
    "calibrated_digit_onnx",
    "digit_onnx",
    "lenet5_float_onnx",
    "lenet5_int8_onnx",
    "lenet5_onnx",
]

OPSET = 17  # what ONNX Runtime's JavaScript builds take; tf2onnx's own is newer

ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu"}


def nodes_of(activation: str) -> list[tuple[str, str]]:
    """The graph: one node for each step of the network.

    What tf2onnx must produce, and the name of each node and its value, after Keras's layers.
    """
    return [
        ("Cast", "pixels"),
        ("Mul", "scale"),
        ("Reshape", "channel"),
        ("Conv", "conv1"),
        ("MaxPool", "pool1"),
        (ACTIVATIONS[activation], f"{activation}1"),
        ("Conv", "conv2"),
        ("MaxPool", "pool2"),
        (ACTIVATIONS[activation], f"{activation}2"),
        ("Reshape", "flatten"),
        ("Gemm", "hidden"),
        (ACTIVATIONS[activation], f"{activation}3"),
        ("Gemm", "logits"),
        ("Softmax", "probabilities"),
        ("ArgMax", "label"),
    ]


# ONNX's own names for what kind of picture a float32 [1, 1, H, W] holds
PICTURE = {
    "Image.BitmapPixelFormat": "Gray8",
    "Image.ColorSpaceGamma": "SRGB",
    "Image.NominalPixelRange": "NominalRange_0_255",
}


class ExportError(LenetKerasError):
    """A file cannot be exported, or fails its checks."""


def lenet5_onnx(model: keras.Model, metadata: dict[str, str] | None = None) -> onnx.ModelProto:
    """The model as an ONNX graph of 15 nodes, named after the Keras layers.

    Args:
        model: of ``build_lenet5``, any sizes and precision, on Keras's TensorFlow backend.
        metadata: goes into the file as it is.

    Returns:
        A graph from ``images`` uint8 [N, 28, 28] to ``probabilities`` float32 [N, 10] and
        ``label`` int64 [N]; opset 17, IR version 8. Same weights, same bytes.

    Raises:
        ExportError: Keras runs on another backend, a layer has a single kernel, or the
            conversion gave another graph.
    """
    if keras.backend.backend() != "tensorflow":
        raise ExportError("Exporting needs Keras on TensorFlow: unset KERAS_BACKEND.")
    if min(model.get_layer("conv1").filters, model.get_layer("conv2").filters) < 2:
        raise ExportError(
            "A layer with a single kernel cannot be exported: nkerns must be 2 or more."
        )
    import tensorflow as tf
    import tf2onnx

    sizes = (model.get_layer("conv1").filters, model.get_layer("conv2").filters)
    activation = model.get_layer("hidden").activation.__name__
    # whatever the precision was; and dropout is for training
    float32 = build_lenet5(sizes, model.get_layer("hidden").units, activation=activation)
    float32.set_weights(model.get_weights())
    layer, maps1, maps2 = float32.get_layer, f"{activation}1", f"{activation}2"
    hidden, bias = layer("hidden").get_weights()
    # ONNX keeps feature maps as (map, row, column) and would have to turn each around to
    # flatten it as Keras does. Instead the hidden layer's rows go back to that order, once.
    hidden = hidden.reshape(4, 4, sizes[1], -1).transpose(2, 0, 1, 3).reshape(hidden.shape)

    @tf.function(input_signature=[tf.TensorSpec((None, SIDE, SIDE), tf.uint8, name="images")])
    def lenet5(images: tf.Tensor) -> dict[str, tf.Tensor]:
        x = tf.cast(images, tf.float32) * layer("scale").scale
        for name in ("channel", "conv1", "pool1", maps1, "conv2", "pool2", maps2):
            x = layer(name)(x)
        x = tf.reshape(tf.transpose(x, (0, 3, 1, 2)), (-1, len(hidden)))
        x = layer("hidden").activation(tf.matmul(x, hidden) + bias)
        probabilities = tf.nn.softmax(layer("logits")(x))
        # not keras.ops.argmax, from which tf2onnx makes an invalid file
        return {"probabilities": probabilities, "label": tf.argmax(probabilities, axis=1)}

    converted, _ = tf2onnx.convert.from_function(
        lenet5, input_signature=lenet5.input_signature, opset=OPSET
    )
    return _named(converted, nodes_of(activation), metadata or {})


def _named(
    converted: onnx.ModelProto, wanted: list[tuple[str, str]], metadata: dict[str, str]
) -> onnx.ModelProto:
    """tf2onnx's graph with products and biases fused, and with our names and shapes."""
    nodes: list[onnx.NodeProto] = []
    for node in converted.graph.node:
        if node.op_type == "MatMul":
            node = helper.make_node("Gemm", node.input, node.output)
        elif node.op_type == "Add" and nodes[-1].op_type == "Gemm":
            nodes[-1].input.append(node.input[1])
            nodes[-1].output[:] = node.output
            continue
        nodes.append(node)
    if [node.op_type for node in nodes] != [operator for operator, _ in wanted]:
        found = " ".join(node.op_type for node in nodes)
        raise ExportError(f"tf2onnx produced an unexpected graph: {found}.")

    values = {"images": "images"}
    constants = {i.name: numpy_helper.to_array(i) for i in converted.graph.initializer}
    initializers = []
    for node, (_, name) in zip(nodes, wanted):
        for i, old in enumerate(node.input):
            if old not in values:
                kind = ("kernel", "bias")[i - 1] if node.op_type in ("Conv", "Gemm") else "by"
                initializers.append(numpy_helper.from_array(constants[old], f"{name}/{kind}"))
                node.input[i] = initializers[-1].name
            else:
                node.input[i] = values[old]
        values[node.output[0]] = node.output[0] = node.name = name

    graph = helper.make_graph(
        nodes,
        "lenet5",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", SIDE, SIDE])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10]),
            helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
        ],
        initializers,
    )
    return _stamped(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)]), metadata
    )


def _stamped(model: onnx.ModelProto, metadata: dict[str, str]) -> onnx.ModelProto:
    model.ir_version = IR_VERSION
    model.producer_name = "lenet-keras"
    model.producer_version = ""
    helper.set_model_props(model, metadata)
    return model


def lenet5_int8_onnx(lenet5: onnx.ModelProto, digits: np.ndarray) -> onnx.ModelProto:
    """The same network with weights and feature maps in bytes.

    Static quantization (QDQ), each kernel with a scale of its own. Weights go from
    -64 to 64 only: then no processor has to clip a sum (LARGEST_PAIR), and all agree.
    The logits stay float32: in bytes, two classes too often tie. What is quantized does not
    depend on the batch, so every batch size gives the same bits.

    Three things are there for other runtimes, and change no bit of onnxruntime's answers:
    pooling is in bytes too and biases are float32 (OpenCV), and no shape stands between the
    nodes (tract).

    Args:
        lenet5: from ``lenet5_onnx``.
        digits: uint8 [N, 28, 28], training digits to calibrate on.

    Returns:
        A graph with the same inputs, outputs and metadata.

    Raises:
        ExportError: there is no room for the quantizer's own files.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Digits(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(np.split(digits, range(100, len(digits), 100)))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"images": batch}

    try:
        with tempfile.TemporaryDirectory() as folder:
            # Through a file: given a model, onnxruntime moves its weights elsewhere while it works.
            path = Path(folder, "lenet5.onnx")
            onnx.save(lenet5, path)
            quant_pre_process(path, path, skip_optimization=True, skip_symbolic_shape=True)
            quantize_static(
                path,
                path,
                Digits(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                reduce_range=True,  # 7 bits
                op_types_to_quantize=["Conv", "Gemm", "MaxPool"],
                nodes_to_exclude=["logits"],
            )
            quantized = onnx.load(path)
    except OSError as error:
        raise ExportError(
            f"The quantizer's files could not be written into {tempfile.gettempdir()} "
            f"({error.strerror or error}): make room there, or name another folder in TMPDIR."
        ) from error
    del quantized.metadata_props[:], quantized.graph.value_info[:]
    quantized.graph.name = "lenet5-int8"
    _biases_in_float32(quantized.graph)
    return _stamped(quantized, {p.key: p.value for p in lenet5.metadata_props})


def _biases_in_float32(graph: onnx.GraphProto) -> None:
    """Each int32 bias times its unit, in float32: still whole units, so nothing is lost."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.output[0].endswith("/bias")]:
        parts = [tensors[name] for name in node.input]
        units, unit, _ = map(numpy_helper.to_array, parts)
        bias = numpy_helper.from_array(units.astype(np.float32) * unit, node.output[0])
        graph.node.remove(node)
        for part in parts:
            graph.initializer.remove(part)
        graph.initializer.append(bias)


def lenet5_float_onnx(lenet5: onnx.ModelProto) -> onnx.ModelProto:
    """The same network for strict runtimes: float32 all through, every shape fixed, no label.

    A pixel is still 0 to 255, as decoders and other runtimes' picture loaders give it: the
    division by 256 is in conv1's kernels, where it is exact. The input is marked as a picture,
    as ONNX has it, and its metadata say of which kind.

    Args:
        lenet5: from ``lenet5_onnx``.

    Returns:
        A graph from ``image`` float32 [1, 1, 28, 28], ink 255 on paper 0, to ``probabilities``
        float32 [1, 10].
    """
    constants = {i.name: numpy_helper.to_array(i) for i in lenet5.graph.initializer}
    kernel, bias = "conv1/kernel", "conv1/bias"
    constants[kernel] = constants[kernel] * constants["scale/by"]
    weights = [name for name in constants if name.endswith(("/kernel", "/bias"))]
    first = [node.name for node in lenet5.graph.node].index("conv1")
    nodes = []
    for node in lenet5.graph.node[first:-1]:
        inputs = ["image", kernel, bias] if node.name == "conv1" else list(node.input)
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        operator = node.op_type
        if node.name == "flatten":  # Reshape wants its shape as int64
            operator, inputs, attributes = "Flatten", inputs[:1], {"axis": 1}
        nodes.append(
            helper.make_node(operator, inputs, list(node.output), name=node.name, **attributes)
        )
    graph = helper.make_graph(
        nodes,
        "lenet5-float",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(constants[name], name) for name in weights],
    )
    graph.input[0].type.denotation = "IMAGE"
    axes = ("DATA_BATCH", "DATA_CHANNEL", "DATA_FEATURE", "DATA_FEATURE")
    for axis, meaning in zip(graph.input[0].type.tensor_type.shape.dim, axes):
        axis.denotation = meaning
    return _stamped(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)]),
        {entry.key: entry.value for entry in lenet5.metadata_props} | PICTURE,
    )


def digit_onnx(lenet5: onnx.ModelProto, doubt: Doubt) -> onnx.ModelProto:
    """``lenet5`` behind the normalization of ``normalization.py``: pictures as they come.

    Args:
        lenet5: from ``lenet5_onnx``, of a network that ``doubt.apply_temperature`` calibrated.
        doubt: of that network: what is no digit.
    """
    about = {p.key: p.value for p in lenet5.metadata_props}
    return with_is_digit(_stamped(digit_model(lenet5), about), doubt)


def calibrated_digit_onnx(
    model: keras.Model, split: Split, metadata: dict[str, str] | None = None
) -> onnx.ModelProto:
    """digit.onnx of a network that is calibrated first, in place.

    Args:
        model: uint8 [N, 28, 28] to logits [N, 10].
        split: digits it has not learned; the validation digits.
        metadata: as ``lenet5_onnx`` takes it.
    """
    doubt = doubt_of(model, split)
    apply_temperature(model, doubt.temperature)
    return digit_onnx(lenet5_onnx(model, metadata), doubt)
