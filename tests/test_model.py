"""The network is the tutorial's function with the tutorial's weights."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from lenet_keras.figures import network
from lenet_keras.model import TheanoWeights, build_lenet5, draw_weights, to_keras


def theano_forward(images, weights):
    """The tutorial's forward pass, transcribed: [N, 28, 28] bytes to the logistic layer's input.

    conv.conv2d is a true convolution: the kernel is read backwards in both directions.
    """

    def conv_pool(x, W, b):
        n, _, height, width = x.shape
        rows, columns = height - 5 + 1, width - 5 + 1
        convolved = np.zeros((n, len(W), rows, columns))
        for i in range(5):
            for j in range(5):
                window = x[:, :, i : i + rows, j : j + columns]
                convolved += np.einsum("nchw,kc->nkhw", window, W[:, :, 4 - i, 4 - j])
        pooled = convolved[:, :, : rows // 2 * 2, : columns // 2 * 2]
        pooled = pooled.reshape(n, len(W), rows // 2, 2, columns // 2, 2).max(axis=(3, 5))
        return np.tanh(pooled + b.reshape(1, -1, 1, 1))  # dimshuffle('x', 0, 'x', 'x')

    x = images.reshape(-1, 1, 28, 28) / 256.0
    x = conv_pool(x, *weights["conv1"])
    x = conv_pool(x, *weights["conv2"])
    x = x.reshape(len(x), -1)  # flatten(2)
    x = np.tanh(x @ weights["hidden"].W + weights["hidden"].b)
    return x @ weights["logits"].W + weights["logits"].b


@pytest.mark.parametrize(
    ("nkerns", "n_hidden"), [((20, 50), 500), ((1, 1), 1), ((3, 7), 11), ((8, 2), 30)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_the_tutorials_function(nkerns, n_hidden, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (9, 28, 28), dtype=np.uint8)
    weights = {
        name: TheanoWeights(*(rng.normal(0, 0.2, part.shape).astype(np.float32) for part in layer))
        for name, layer in draw_weights(nkerns, n_hidden).items()
    }
    model = build_lenet5(nkerns, n_hidden)
    for name, layer in weights.items():
        model.get_layer(name).set_weights(to_keras(name, layer))
    ours = model.predict(images, verbose=0)
    assert ours.shape == (9, 10) and ours.dtype == np.float32
    theirs, why = theano_forward(images, weights), "model.py is no longer the tutorial's function"
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * n_hidden**0.5, err_msg=why)


def test_the_initial_weights_are_the_tutorials_numbers():
    rng = np.random.RandomState(23455)
    expected_conv1 = rng.uniform(-np.sqrt(6 / 150), np.sqrt(6 / 150), (20, 1, 5, 5))
    expected_conv2 = rng.uniform(-np.sqrt(6 / 812), np.sqrt(6 / 812), (50, 20, 5, 5))
    expected_hidden = rng.uniform(-np.sqrt(6 / 1300), np.sqrt(6 / 1300), (800, 500))
    model = build_lenet5()
    conv1, b1 = model.get_layer("conv1").get_weights()
    conv2, b2 = model.get_layer("conv2").get_weights()
    hidden, b3 = model.get_layer("hidden").get_weights()
    logits, b4 = model.get_layer("logits").get_weights()
    for out in (0, 7, 19):
        for y, x in ((0, 0), (1, 3), (4, 2)):
            assert conv1[y, x, 0, out] == np.float32(expected_conv1[out, 0, 4 - y, 4 - x])
            assert conv2[y, x, 11, out] == np.float32(expected_conv2[out, 11, 4 - y, 4 - x])
    for channel, y, x in ((0, 0, 1), (17, 2, 3), (49, 3, 3)):
        np.testing.assert_array_equal(
            hidden[(y * 4 + x) * 50 + channel],
            expected_hidden[channel * 16 + y * 4 + x].astype(np.float32),
        )
    assert not logits.any()
    for bias in (b1, b2, b3, b4):
        assert not bias.any()


def test_sizes_and_names():
    model = build_lenet5()
    assert model.count_params() == 431_080 == 520 + 25_050 + 400_500 + 5_010
    assert model.input.dtype == "uint8" and model.input.shape == (None, 28, 28)
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert shapes == {
        "images": (28, 28),
        "scale": (28, 28),
        "channel": (28, 28, 1),
        "conv1": (24, 24, 20),
        "pool1": (12, 12, 20),
        "tanh1": (12, 12, 20),
        "conv2": (8, 8, 50),
        "pool2": (4, 4, 50),
        "tanh2": (4, 4, 50),
        "flatten": (800,),
        "hidden": (500,),
        "logits": (10,),
    }


def test_its_picture_is_read_from_the_model():
    for model, kernel in (
        (build_lenet5(activation="relu", dropout=0.3), "relu"),
        (build_lenet5(), "tanh"),
    ):
        axes = network(model).axes[0]
        words = "\n".join(text.get_text() for text in axes.texts).split("\n")
        assert words.count(kernel) == 3 and words.count("5×5") == 2 and words.count("of 2×2") == 2
        assert ("tanh" in words) == (kernel == "tanh")
        assert {"images", "20 maps", "50 maps", "500", "10", "400,500"} <= set(words)


def test_fan_out_is_divided_as_python_2_divides():
    # 50 * 25 / 4 is 312.5; Python 2 says 312, and conv2's bound follows.
    W = draw_weights()["conv2"].W
    assert np.sqrt(6 / 812.5) < np.abs(W).max() <= np.float32(np.sqrt(6 / 812))


def test_scaling_is_exact():
    scale = build_lenet5().get_layer("scale")
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    scaled = keras.ops.convert_to_numpy(scale(every))
    np.testing.assert_array_equal(scaled, (every / 256).astype(np.float32))
    assert scaled.max() == 0.99609375


SMOKE = """
import numpy as np
from lenet_keras import PatienceStopping, build_lenet5
import keras
model = build_lenet5((4, 6), 20)
images = np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8)
labels = np.arange(60) % 10
start = model.predict(images, verbose=0)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.SGD(0.1), loss)
def error(model):
    return float((model.predict(images, verbose=0).argmax(1) != labels).mean())
stopping = PatienceStopping(error, error, patience=8)
model.fit(images, labels, batch_size=10, epochs=30, shuffle=False, verbose=0, callbacks=[stopping])
assert stopping.best_validation_error == error(model)
print(keras.backend.backend(), start.shape, stopping.best_iteration, stopping.stopped_iteration)

import sys
from dataclasses import replace
from lenet_keras import TUTORIAL, load_mnist, train
small = replace(TUTORIAL, nkerns=(4, 6), n_hidden=20, batch_size=40, n_epochs=1)
run = train(small, load_mnist("digits"), sys.argv[1])
assert run.record.versions["backend"] == keras.backend.backend()
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_every_backend_trains_it(backend, tmp_path):
    if backend != "tensorflow":
        pytest.importorskip(backend, reason=f"{backend} is not installed")
    done = subprocess.run(
        [sys.executable, "-c", SMOKE, str(tmp_path / "run")],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{backend} (60, 10)")
