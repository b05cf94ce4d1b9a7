"""From a trained Keras model to ONNX files that need nothing but onnxruntime.

What each takes and gives::

    lenet5.onnx        images uint8 [N, 28, 28] -> probabilities, label
    lenet5-int8.onnx   the same, its weights and feature maps in bytes
    lenet5-float.onnx  image float32 [1, 1, 28, 28] -> probabilities, for runtimes
                       that take little else
    digit.onnx         image uint8 [N, H, W], as it comes
                       -> probabilities, label, normalized, has_ink, is_digit
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from lenet_keras.data import Mnist, Split
from lenet_keras.errors import LenetKerasError
from lenet_keras.model import SIDE, build_lenet5
from lenet_keras.run import Record, Run, load_model, load_record
from lenet_keras.ship.doubt import Doubt, colder, doubt_of, with_is_digit
from lenet_keras.ship.normalization import IR_VERSION, digit_model
from lenet_keras.storage.files import whole_file, whole_files

__all__ = [
    "ExportError",
    "Parity",
    "digit_onnx",
    "export",
    "lenet5_float_onnx",
    "lenet5_int8_onnx",
    "lenet5_onnx",
    "parity",
    "write_onnx",
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


N_CALIBRATION = 1_000  # training digits that show the quantizer how large the values get
# Of probabilities, onnxruntime against Keras. Both round: with the tutorial's final weights
# each is up to 1.8e-6 from what float64 gives (a test measures it).
LARGEST_DIFFERENCE = 3e-6
LARGEST_INT8_LOSS = 0.05  # points of test error
# ONNX's own names for what kind of picture a float32 [1, 1, H, W] holds
PICTURE = {
    "Image.BitmapPixelFormat": "Gray8",
    "Image.ColorSpaceGamma": "SRGB",
    "Image.NominalPixelRange": "NominalRange_0_255",
}
LARGEST_PAIR = 2**15 - 1  # processors without VNNI add int8 products in pairs, in 16 bits


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
            quantised = onnx.load(path)
    except OSError as error:
        raise ExportError(
            f"The quantizer's files could not be written into {tempfile.gettempdir()} "
            f"({error.strerror or error}): make room there, or name another folder in TMPDIR."
        ) from error
    del quantised.metadata_props[:], quantised.graph.value_info[:]
    quantised.graph.name = "lenet5-int8"
    _biases_in_float32(quantised.graph)
    return _stamped(quantised, {p.key: p.value for p in lenet5.metadata_props})


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
    """``lenet5`` behind the normalisation of ``normalization.py``: pictures as they come.

    Args:
        lenet5: from ``lenet5_onnx``, of a network that ``doubt.colder`` calibrated.
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
    colder(model, doubt.temperature)
    return digit_onnx(lenet5_onnx(model, metadata), doubt)


# --- what is checked before a file is written --------------------------------------------

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


# --- files -------------------------------------------------------------------------------


def metadata_of(record: Record) -> dict[str, str]:
    """What a file says about itself, from the run.json of its training."""
    data, result = record.data, record.result
    return {
        "recipe": json.dumps(record.recipe.to_dict()),
        "data": f"{data.name} ({data.train} training digits), SHA-256 {data.digest}",
        "validation_error_percent": str(result.best_validation_error),
        "test_error_percent": str(result.test_error),
        "classes": "0 1 2 3 4 5 6 7 8 9",
        "model_author": "The lenet-keras developers",
        "model_license": "MIT",
        "source": "lenet-keras, after the deeplearning.net tutorial convolutional_mlp.py",
    }


def write_onnx(model: onnx.ModelProto, path: Path) -> None:
    """Check a model, then put it at ``path`` in one step: a failed check leaves the old file.

    Raises:
        ExportError: the model fails its check.
        FileError: it cannot be written.
    """
    check(model)
    with whole_file(path) as partial:
        partial.write_bytes(_bytes_of(model))


def _bytes_of(model: onnx.ModelProto) -> bytes:
    return model.SerializeToString(deterministic=True)


def write_lenet5(run: Run) -> Path:
    """The run's own lenet5.onnx, beside its model.keras."""
    path = run.folder / "lenet5.onnx"
    write_onnx(lenet5_onnx(run.model, metadata_of(run.record)), path)
    return path


def export(
    run_dir: Path, to: Path, mnist: Mnist, digit_run: Path | None = None
) -> dict[str, Parity]:
    """Make all four files from a run folder; none is replaced unless all are good.

    Beside them go ``SHA256SUMS``, which ``sha256sum -c`` reads, and ``test_data/``, inputs and
    outputs to try a runtime with.

    Args:
        run_dir: a run folder, with its model.keras and run.json.
        to: where the files go.
        mnist: the data the run was trained on: its training digits calibrate, its test
            digits are what parity is measured on.
        digit_run: the run folder for digit.onnx, if it is another one.

    Returns:
        File name to its parity with the Keras model.

    Raises:
        ExportError: the data are not the run's, or a file fails its check or is further
            from Keras than LARGEST_DIFFERENCE (float32) or LARGEST_INT8_LOSS (int8).
        FileError: one cannot be written; all old ones are unharmed.
        RunError: there is no such run, or it cannot be read.
    """
    model, lenet5 = _network_of(run_dir, mnist)
    digit_keras, _ = _network_of(digit_run or run_dir, mnist)
    about = metadata_of(load_record(digit_run or run_dir))
    digit = calibrated_digit_onnx(digit_keras, mnist.valid, about)
    models = {
        "lenet5.onnx": (model, lenet5),
        "lenet5-int8.onnx": (model, lenet5_int8_onnx(lenet5, mnist.train.images[:N_CALIBRATION])),
        "lenet5-float.onnx": (model, lenet5_float_onnx(lenet5)),
        "digit.onnx": (digit_keras, digit),
    }
    report = {}
    for name, (original, exported) in models.items():
        check(exported)
        report[name] = parity(original, exported, mnist.test)
        about = {entry.key: entry.value for entry in exported.metadata_props}
        error = str(round(report[name].onnx_error, 6))
        helper.set_model_props(exported, about | {"test_error_percent": error})
    loss = report["lenet5-int8.onnx"].onnx_error - report["lenet5.onnx"].onnx_error
    if loss > LARGEST_INT8_LOSS + 1e-9:
        raise ExportError(f"lenet5-int8.onnx loses {loss:.2f} points of test error.")
    to = Path(to)
    made = {name: exported for name, (_, exported) in models.items()}
    files = {to / name: _bytes_of(exported) for name, exported in made.items()}
    sums = "".join(
        f"{sha256(content).hexdigest()}  {path.name}\n" for path, content in files.items()
    )
    files[to / "SHA256SUMS"] = sums.encode()
    whole_files(files | _test_data(made, mnist.test, to / "test_data"))
    return report


def _network_of(run_dir: Path, mnist: Mnist) -> tuple[keras.Model, onnx.ModelProto]:
    """A run's model, and the same as a graph that agrees with it on the test digits."""
    model = load_model(run_dir)
    record = load_record(run_dir)
    if record.data.digest != mnist.digest:
        raise ExportError(
            f"{run_dir} was trained on {record.data.name} with another digest than the data at "
            f"hand ({mnist.name}): name its data with --data."
        )
    lenet5 = lenet5_onnx(model, metadata_of(record))
    exact = parity(model, lenet5, mnist.test)
    if exact.largest_difference > LARGEST_DIFFERENCE or exact.label_mismatches:
        raise ExportError(f"{run_dir}: ONNX differs from the Keras model: {exact}.")
    return model, lenet5


def _test_data(models: dict[str, onnx.ModelProto], split: Split, folder: Path) -> dict[Path, bytes]:
    """Inputs and outputs of each file, laid out as in the ONNX Model Zoo.

    Three sets for each. lenet5 and lenet5-int8: one digit, the first of each class, and pictures
    at the edges of what there is. lenet5-float: a digit, all white, a ramp. digit: the same ten;
    a 7 ten times as large, dark on light; a blank.

    Returns:
        File to its content.
    """
    each_class = split.images[[np.flatnonzero(split.labels == digit)[0] for digit in range(10)]]
    edges = np.zeros((4, SIDE, SIDE), np.uint8)  # all black, all white, one pixel, a ramp
    edges[1], edges[2, 14, 14], edges[3] = 255, 255, np.arange(SIDE) * 9
    as_drawn = 255 - each_class[7:8].repeat(10, axis=1).repeat(10, axis=2)
    inputs = {
        "lenet5": (split.images[:1], each_class, edges),
        "lenet5-int8": (split.images[:1], each_class, edges),
        "lenet5-float": [
            one.astype(np.float32)[None, None] for one in (split.images[0], edges[1], edges[3])
        ],
        "digit": (each_class, as_drawn, np.full((1, 60, 40), 255, np.uint8)),
    }
    contents = {}
    for model, sets in inputs.items():
        run = session(models[f"{model}.onnx"], threads=1)
        (feed,), names = run.get_inputs(), [output.name for output in run.get_outputs()]
        for i, images in enumerate(sets):
            named = {"input_0": (feed.name, images)}
            for k, value in enumerate(run.run(names, {feed.name: images})):
                named[f"output_{k}"] = (names[k], value)
            for file, (name, value) in named.items():
                tensor = numpy_helper.from_array(value, name)
                path = folder / model / f"test_data_set_{i}" / f"{file}.pb"
                contents[path] = tensor.SerializeToString()
    return contents
