"""The exported graphs are the Keras model, and nothing bad is ever written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime import quantization

from lenet_keras import TUTORIAL, build_lenet5, train
from lenet_keras.data import Mnist, Split
from lenet_keras.run import load_model
from lenet_keras.ship import graphs, onnx_export
from lenet_keras.ship.doubt import Doubt
from lenet_keras.ship.graphs import (
    ExportError,
    digit_onnx,
    lenet5_float_onnx,
    lenet5_int8_onnx,
    lenet5_onnx,
)
from lenet_keras.ship.onnx_export import export, write_onnx
from lenet_keras.ship.parity import check, parity, session

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    """A short training on the embedded digits."""
    recipe = replace(TUTORIAL, batch_size=10, n_epochs=3)
    return train(recipe, digits, tmp_path_factory.mktemp("export") / "run")


@pytest.fixture(scope="module")
def lenet5(run):
    return lenet5_onnx(run.model, {"classes": "0 1 2 3 4 5 6 7 8 9"})


def test_the_graph_is_one_node_for_each_thing_the_network_does(lenet5):
    check(lenet5)
    operators = " ".join(node.op_type for node in lenet5.graph.node)
    assert operators == (
        "Cast Mul Reshape Conv MaxPool Tanh Conv MaxPool Tanh Reshape Gemm Tanh Gemm Softmax ArgMax"
    )
    names = [node.name for node in lenet5.graph.node]
    assert names == [node.output[0] for node in lenet5.graph.node]
    assert {"conv1", "pool1", "tanh1", "conv2", "pool2", "tanh2", "hidden", "logits"} < set(names)
    assert lenet5.ir_version == 8 and [o.version for o in lenet5.opset_import] == [17]
    n_weights = sum(
        int(np.prod(i.dims))
        for i in lenet5.graph.initializer
        if i.name.endswith(("kernel", "bias"))
    )
    assert n_weights == 431_080


def test_parity(run, lenet5, digits):
    report = parity(run.model, lenet5, digits.test)
    assert report.digits == len(digits.test.labels) == 397
    assert report.label_mismatches == 0
    assert report.largest_difference <= onnx_export.LARGEST_DIFFERENCE
    assert report.keras_error == report.onnx_error
    assert report.keras_error == pytest.approx(run.record.result.test_error, abs=1e-6)


def test_parity_sees_a_difference(run, digits, lenet5):
    other = build_lenet5(seed=1)
    report = parity(other, lenet5, digits.test)
    assert report.label_mismatches > 100 and report.largest_difference > 0.1


def test_same_weights_same_bytes(run, lenet5):
    again = lenet5_onnx(load_model(run.folder), {"classes": "0 1 2 3 4 5 6 7 8 9"})
    assert again.SerializeToString(deterministic=True) == lenet5.SerializeToString(
        deterministic=True
    )


@pytest.mark.parametrize(("nkerns", "n_hidden"), [((2, 2), 1), ((3, 7), 11), ((20, 50), 500)])
def test_any_sizes_even_with_all_zero_biases(nkerns, n_hidden):
    model, rng = build_lenet5(nkerns, n_hidden), np.random.default_rng(0)
    # the logits' kernel begins as zeros, which would hide all that comes before
    kernels = [rng.normal(0, 0.1, w.shape) if w.ndim > 1 else w for w in model.get_weights()]
    model.set_weights(kernels)
    exported = lenet5_onnx(model)
    check(exported)
    images = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8)
    report = parity(model, exported, Split(images, np.zeros(20, int)))
    assert report.label_mismatches == 0 and report.largest_difference <= 3e-6


def test_what_cannot_be_exported(monkeypatch):
    with pytest.raises(ExportError, match="single kernel"):
        lenet5_onnx(build_lenet5((1, 5), 5))
    monkeypatch.setattr(graphs.keras.backend, "backend", lambda: "jax")
    with pytest.raises(ExportError, match="needs Keras on TensorFlow"):
        lenet5_onnx(build_lenet5((3, 5), 5))


def test_every_batch_size_gives_the_same_bits(lenet5, digits):
    int8 = lenet5_int8_onnx(lenet5, digits.train.images)
    check(int8)
    for model in (lenet5, int8, digit_onnx(lenet5, Doubt(1.0, 0.5))):
        name = model.graph.input[0].name
        run = session(model)
        together = run.run(None, {name: digits.test.images})
        for size in (1, 3, 64):
            parts = [
                run.run(None, {name: digits.test.images[i : i + size]})
                for i in range(0, len(digits.test.images), size)
            ]
            for whole, pieces in zip(together, zip(*parts)):
                np.testing.assert_array_equal(whole, np.concatenate(pieces))


def test_int8_is_small_and_keeps_the_labels(run, lenet5, digits):
    before = lenet5.SerializeToString(deterministic=True)
    int8 = lenet5_int8_onnx(lenet5, digits.train.images)
    assert lenet5.SerializeToString(deterministic=True) == before  # left as it was
    assert int8.ByteSize() < 0.3 * lenet5.ByteSize()
    assert parity(run.model, int8, digits.test).label_mismatches <= 4
    assert {p.key for p in int8.metadata_props} == {"classes"}


def test_int8_is_as_opencv_and_tract_want_it(lenet5, digits):
    graph = lenet5_int8_onnx(lenet5, digits.train.images).graph
    operators = " ".join(node.op_type for node in graph.node)
    assert operators.count("DequantizeLinear MaxPool QuantizeLinear") == 2
    types = {i.name: i.data_type for i in graph.initializer if i.name.endswith("/bias")}
    assert len(types) == 4 and set(types.values()) == {onnx.TensorProto.FLOAT}
    assert not graph.value_info


def test_the_strict_file_is_the_same_network(run, lenet5, digits):
    strict = lenet5_float_onnx(lenet5)
    check(strict)
    operators = " ".join(node.op_type for node in strict.graph.node)
    assert operators == "Conv MaxPool Tanh Conv MaxPool Tanh Flatten Gemm Tanh Gemm Softmax"
    types = {i.data_type for i in strict.graph.initializer}
    assert types == {onnx.TensorProto.FLOAT} and not strict.graph.value_info
    report = parity(run.model, strict, digits.test)
    assert report.label_mismatches == 0
    assert report.largest_difference <= onnx_export.LARGEST_DIFFERENCE
    about = {p.key: p.value for p in strict.metadata_props}
    assert about.items() >= graphs.PICTURE.items() and about["classes"]
    assert strict.graph.input[0].type.denotation == "IMAGE"


def test_bfloat16_weights_export_as_float32(digits, tmp_path):
    recipe = replace(TUTORIAL, batch_size=50, n_epochs=1, precision="bfloat16")
    trained = train(recipe, digits, tmp_path / "run")
    check(lenet5_onnx(trained.model))


def test_a_failed_check_leaves_the_old_file(lenet5, tmp_path):
    path = tmp_path / "lenet5.onnx"
    write_onnx(lenet5, path)
    good = path.read_bytes()
    bad = onnx.ModelProto()
    bad.CopyFrom(lenet5)
    bad.graph.node[3].op_type = "Convolution"
    with pytest.raises(ExportError, match="onnx finds it invalid"):
        write_onnx(bad, path)
    bad.CopyFrom(lenet5)
    bad.graph.output[0].name = "scores"
    with pytest.raises(ExportError, match="inputs and outputs"):
        write_onnx(bad, path)
    bad.CopyFrom(lenet5)
    bad.ir_version = 10
    with pytest.raises(ExportError, match="IR version 10"):
        write_onnx(bad, path)
    assert path.read_bytes() == good and list(tmp_path.iterdir()) == [path]


def test_export_of_a_run(run, digits, tmp_path, monkeypatch):
    report = export(run.folder, tmp_path / "to", digits)
    assert list(report) == ["lenet5.onnx", "lenet5-int8.onnx", "lenet5-float.onnx", "digit.onnx"]
    files = {path.name: path.read_bytes() for path in (tmp_path / "to").glob("*.onnx")}
    assert set(files) == set(report)
    for name, parity_of in report.items():
        properties = {p.key: p.value for p in onnx.load(tmp_path / "to" / name).metadata_props}
        assert float(properties["test_error_percent"]) == pytest.approx(parity_of.onnx_error)
    assert digits.digest in properties["data"] and "mnist" not in properties["data"]
    assert json.loads(properties["recipe"])["seed"] == 23455

    # one file that fails, and none is replaced
    monkeypatch.setattr(onnx_export, "LARGEST_INT8_LOSS", -100)
    with pytest.raises(ExportError, match=r"lenet5-int8\.onnx loses"):
        export(run.folder, tmp_path / "to", digits)
    assert {path.name: path.read_bytes() for path in (tmp_path / "to").glob("*.onnx")} == files


def test_export_refuses_weights_that_some_processors_cannot_add(run, digits, tmp_path, monkeypatch):
    original = quantization.quantize_static
    eight_bits = {"reduce_range": False}
    monkeypatch.setattr(
        quantization, "quantize_static", lambda *args, **how: original(*args, **how | eight_bits)
    )
    with pytest.raises(ExportError, match=r"lenet5-int8: .*conv1/kernel.* 64,770"):
        export(run.folder, tmp_path / "to", digits)
    assert not (tmp_path / "to").exists()


def test_export_wants_the_data_of_the_run(run, digits, tmp_path):
    other: Mnist = replace(digits, train=Split(digits.train.images[1:], digits.train.labels[1:]))
    with pytest.raises(ExportError, match="another digest"):
        export(run.folder, tmp_path / "to", other)
    assert not (tmp_path / "to").exists()


@pytest.mark.mnist
def test_the_committed_files_are_the_committed_run(mnist):
    """Remade from results/tutorial, the weights and the answers are those under export/."""
    model = load_model(ROOT / "results/tutorial")
    committed = onnx.load(ROOT / "export/lenet5.onnx")
    for ours, theirs in zip(lenet5_onnx(model).graph.initializer, committed.graph.initializer):
        assert ours == theirs
    report = parity(model, committed, mnist.test)
    assert report.label_mismatches == 0
    assert report.largest_difference <= onnx_export.LARGEST_DIFFERENCE


@pytest.mark.mnist
def test_float32_itself_is_as_far_from_the_truth(mnist):
    """Why parity is not 1e-6: Keras and onnxruntime are each that far from float64."""
    from test_model import theano_forward

    from lenet_keras.model import TheanoWeights

    model = load_model(ROOT / "results/tutorial")
    weights = {}
    for name in ("conv1", "conv2", "hidden", "logits"):
        kernel, bias = model.get_layer(name).get_weights()
        if kernel.ndim == 4:  # back to Theano's layout
            kernel = kernel.transpose(3, 2, 0, 1)[:, :, ::-1, ::-1]
        elif name == "hidden":
            kernel = kernel.reshape(4, 4, 50, 500).transpose(2, 0, 1, 3).reshape(800, 500)
        weights[name] = TheanoWeights(kernel.astype(float), bias.astype(float))
    images = mnist.test.images[:2000]

    def softmax(z):
        e = np.exp(z.astype(float) - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    exact = np.concatenate(
        [softmax(theano_forward(images[i : i + 500], weights)) for i in range(0, 2000, 500)]
    )
    keras_p = softmax(model.predict(images, batch_size=500, verbose=0))
    run = session(onnx.load(ROOT / "export/lenet5.onnx"))
    (onnx_p,) = run.run(["probabilities"], {"images": images})
    for theirs in (keras_p, onnx_p):
        assert 1e-8 < np.abs(theirs - exact).max() < 2e-6
