"""lenet5-int8.onnx gives the same labels on every processor, shown without owning one of each.

No two of its products can leave the 16 bits in which processors without VNNI add them, whatever
the picture; so all processors get the same whole numbers. Between those there is float32, which
may differ in its last bits: qdq.py follows all that can come of it. No label depends on it.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import qdq
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import GraphOptimizationLevel, quantization

from lenet_keras.data import Mnist, Split, load_mnist
from lenet_keras.ship.graphs import ExportError, lenet5_int8_onnx
from lenet_keras.ship.onnx_export import N_CALIBRATION
from lenet_keras.ship.parity import check

EXPORT = Path(__file__).parent.parent / "export"
OUTPUT_AXIS = {"conv1": 0, "conv2": 0, "hidden": 1}


@pytest.fixture(scope="module")
def data() -> Mnist:
    """MNIST, or where it is not the embedded digits."""
    return load_mnist(os.environ["LENET_KERAS_DATA"])


@pytest.fixture(scope="module")
def shipped() -> onnx.ModelProto:
    return onnx.load(EXPORT / "lenet5-int8.onnx")


@pytest.fixture(scope="module")
def eight_bits(data: Mnist) -> onnx.ModelProto:
    """The same network with weights from -127 to 127, as the quantizer makes them if not told."""
    original = quantization.quantize_static
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            quantization,
            "quantize_static",
            lambda *args, **how: original(*args, **how | {"reduce_range": False}),
        )
        lenet5 = onnx.load(EXPORT / "lenet5.onnx")
        return lenet5_int8_onnx(lenet5, data.train.images[:N_CALIBRATION])


def batches(split: Split) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for i in range(0, len(split.labels), 100):
        yield split.images[i : i + 100], split.labels[i : i + 100]


# --- the bound, from the file alone ---


def kernels(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Layer to its weights, int64 [outputs, products]."""
    arrays = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    found = {
        name: array for name, array in arrays.items() if array.dtype == np.int8 and array.ndim > 1
    }
    assert sorted(found) == [f"{layer}/kernel_quantized" for layer in OUTPUT_AXIS]
    outputs_first = {
        layer: np.moveaxis(found[f"{layer}/kernel_quantized"].astype(np.int64), axis, 0)
        for layer, axis in OUTPUT_AXIS.items()
    }
    return {layer: array.reshape(len(array), -1) for layer, array in outputs_first.items()}


def largest_pair(weights: np.ndarray) -> int:
    """The most that any two products of one output can add up to, plus or minus."""
    largest = np.sort(abs(weights), axis=1)
    return 255 * int((largest[:, -1] + largest[:, -2]).max())


def test_no_pair_of_products_leaves_16_bits(shipped):
    for weights in kernels(shipped).values():
        assert largest_pair(weights) <= 2**15 - 1
    check(shipped)


def test_with_8_bits_pairs_of_every_layer_do(eight_bits):
    for weights in kernels(eight_bits).values():
        assert largest_pair(weights) > 2**15 - 1
    with pytest.raises(ExportError, match="VNNI"):
        check(eight_bits)


# --- what clipping at 16 bits does ---


Order = Callable[[qdq.Shape], np.ndarray]  # as qdq.saturating takes it


def as_they_lie(shape: qdq.Shape) -> np.ndarray:
    """Neighbors in a kernel's row."""
    return padded(np.arange(np.prod(shape)), 2)


def channels_last(shape: qdq.Shape) -> np.ndarray:
    """Neighboring channels at one place: how onnxruntime lays pictures out on the CPU."""
    numbers = np.arange(np.prod(shape)).reshape(shape)
    return padded(np.moveaxis(numbers, 0, -1).ravel(), 2)


def eight_apart(shape: qdq.Shape) -> np.ndarray:
    """First of sixteen with the ninth, as ARM's kernels load them."""
    return padded(channels_last(shape), 16).reshape(-1, 2, 8).swapaxes(1, 2).ravel()


def padded(numbers: np.ndarray, multiple: int) -> np.ndarray:
    return np.pad(numbers, (0, -len(numbers) % multiple), constant_values=-1)


def pair_by_pair(order: Order) -> qdq.Dot:
    """What ``qdq.saturating`` must give, without its short cut: every pair clipped, in int64."""

    def dot(a: np.ndarray, w: np.ndarray, shape: qdq.Shape) -> np.ndarray:
        a, w = (np.pad(x, ((0, 1), (0, 0))).astype(np.int64) for x in (a.T, w))
        sums = np.zeros((a.shape[1], w.shape[1]), np.int64)
        for i, j in order(shape).reshape(-1, 2):
            sums += (np.outer(a[i], w[i]) + np.outer(a[j], w[j])).clip(*qdq.INT16)
        return sums

    return dot


each_order = pytest.mark.parametrize("order", [channels_last, as_they_lie, eight_apart])


@each_order
@pytest.mark.parametrize("largest", [64, 127])
def test_the_sums_of_the_reference(order, largest):
    rng, shape = np.random.default_rng(0), (3, 5, 5)
    a = rng.choice([0.0, 255, 138, 201], (40, 75))
    w = rng.choice([-largest, largest, 3.0], (75, 30))
    whole = a.astype(np.int64) @ w.astype(np.int64)
    clipped = qdq.saturating(order)(a, w, shape)
    assert sorted(set(order(shape)) - {-1}) == list(range(75))
    np.testing.assert_array_equal(qdq.exact(a, w, shape), whole)
    np.testing.assert_array_equal(clipped, pair_by_pair(order)(a, w, shape))
    assert np.array_equal(clipped, whole) == (largest == 64)


@each_order
def test_clipping_changes_8_bits_and_nothing_in_the_shipped_file(shipped, eight_bits, data, order):
    images = data.test.images[:20]
    for model, same in ((shipped, True), (eight_bits, False)):
        whole, clipped = (
            qdq.run(model, images, slack=0, dot=dot) for dot in (qdq.exact, pair_by_pair(order))
        )
        for layer in OUTPUT_AXIS:
            assert np.array_equal(whole[layer].low, clipped[layer].low) == same


@pytest.mark.mnist
@pytest.mark.parametrize(("dot", "wrong"), [(qdq.exact, 93), (qdq.saturating(channels_last), 112)])
def test_with_8_bits_clipping_costs_nineteen_digits(eight_bits, mnist, dot, wrong):
    """The 112 are those of onnxruntime 1.32 with AVX2, and with AVX-512 without VNNI."""
    found = 0
    for images, labels in batches(mnist.test):
        logits = qdq.run(eight_bits, images, slack=0, dot=dot)["logits"]
        found += int((logits.low.argmax(axis=1) != labels).sum())
    assert found == wrong


# --- onnxruntime on this processor, and what others may do otherwise ---


def session(model: onnx.ModelProto, **options: object) -> onnxruntime.InferenceSession:
    chosen = onnxruntime.SessionOptions()
    for name, value in options.items():
        setattr(chosen, name, value)
    content = model.SerializeToString()
    return onnxruntime.InferenceSession(content, chosen, providers=["CPUExecutionProvider"])


def with_its_bytes(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """The model with every quantized feature map as an output too, and their names."""
    names = [node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    whole.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.UINT8, None) for name in names
    )
    return whole, names


def test_onnxruntime_computes_in_bytes(shipped, tmp_path):
    """Its optimizer joins the nodes; otherwise the comparison below would say nothing of int8."""
    whole, _ = with_its_bytes(shipped)
    session(whole, optimized_model_filepath=str(tmp_path / "optimized.onnx"), log_severity_level=3)
    nodes = onnx.load(tmp_path / "optimized.onnx").graph.node
    operators = [node.op_type for node in nodes]
    assert operators.count("QLinearConv") == 2 and operators.count("QGemm") == 1


def outside(values: dict[str, qdq.Values], found: dict[str, np.ndarray]) -> int:
    """How many of onnxruntime's numbers are none that the reference allows."""
    return sum(
        int(((found[name] < values[name].low) | (found[name] > values[name].high)).sum())
        for name in found
    )


def test_every_byte_is_the_references_and_every_label_certain(shipped, data):
    whole, names = with_its_bytes(shipped)
    run = session(whole)
    doubtful, leads = dict.fromkeys(names, 0), []
    for images, _ in batches(data.test):
        values = qdq.run(shipped, images)
        label, *found = run.run(["label", *names], {"images": images})
        assert outside(values, dict(zip(names, found))) == 0
        for name in names:
            doubtful[name] += int((values[name].high > values[name].low).sum())
        logits = values["logits"]
        others = logits.high.copy()
        np.put_along_axis(others, label[:, None], -np.inf, axis=1)
        leads.append(logits.low[np.arange(len(label)), label] - others.max(axis=1))
    # what comes in is certain; of the others a few, by a step or the steps that follow from it
    sizes = {name: values[name].low[0].size * len(data.test.labels) for name in names}
    assert doubtful.pop("channel_QuantizeLinear_Output") == 0
    assert all(0 < n < 0.01 * sizes[name] for name, n in doubtful.items()), doubtful
    lead = float(np.concatenate(leads).min())
    print(f"least lead of a label over another, at worst: {lead:.4f}; in doubt: {doubtful}")
    assert lead > 1e-3  # far more than softmax's own rounding


def test_the_reference_notices_a_single_weight(shipped, data):
    whole, names = with_its_bytes(shipped)
    images = data.test.images[:100]
    found = dict(zip(names, session(whole).run(names, {"images": images})))
    assert outside(qdq.run(shipped, images), found) == 0
    other = onnx.ModelProto()
    other.CopyFrom(shipped)
    (kernel,) = (i for i in other.graph.initializer if i.name == "conv2/kernel_quantized")
    weights = numpy_helper.to_array(kernel).copy()
    weights[0, 0, 2, 2] += 1
    kernel.CopyFrom(numpy_helper.from_array(weights, kernel.name))
    assert outside(qdq.run(other, images), found) > 0


def test_other_ways_through_onnxruntime_give_the_same_labels(shipped, data):
    """Unjoined nodes, thus float32 sums; and weights as unsigned bytes, its option for AVX2."""
    unjoined = session(shipped, graph_optimization_level=GraphOptimizationLevel.ORT_DISABLE_ALL)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    unsigned = onnxruntime.InferenceSession(
        shipped.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    joined = session(shipped)
    for images, _ in batches(data.test):
        (labels,) = joined.run(["label"], {"images": images})
        for run in (unjoined, unsigned):
            np.testing.assert_array_equal(run.run(["label"], {"images": images})[0], labels)
