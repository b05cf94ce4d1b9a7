"""Probabilities are put right without an answer changing, and what is unsure is refused."""

import keras
import numpy as np
import onnx
import pytest

from lenet_keras.data import Split
from lenet_keras.model import build_lenet5
from lenet_keras.ship.doubt import REFUSED, Doubt, apply_temperature, doubt_of
from lenet_keras.ship.graphs import digit_onnx, lenet5_onnx
from lenet_keras.ship.normalization import digit_model
from lenet_keras.ship.parity import session


class Sure:
    """Gives the true logits, too large or too small by a factor."""

    def __init__(self, logits, factor):
        self.logits, self.factor = logits, factor

    def predict(self, images, **_):
        return self.factor * self.logits


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_the_logits_are_too_large_by(factor):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4000, 10)).astype(np.float32)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (p.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)  # as likely as it says
    blank = np.zeros((4000, 28, 28), np.uint8)
    doubt = doubt_of(Sure(logits, factor), Split(blank, labels))
    assert doubt.temperature == pytest.approx(factor, rel=0.08)
    below = np.exp(np.log(p) * factor / doubt.temperature)
    below = (below / below.sum(axis=1, keepdims=True)).max(axis=1) < doubt.threshold
    assert below.mean() == pytest.approx(REFUSED, abs=0.001)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    model = build_lenet5((3, 4), 9)
    model.set_weights([np.random.default_rng(1).normal(0, 0.3, w.shape) for w in model.weights])
    return model


def test_a_calibrated_network_gives_the_same_labels(network, digits):
    images = digits.test.images[:100]
    before = network.predict(images, verbose=0)
    other = keras.models.clone_model(network)
    other.set_weights(network.get_weights())
    apply_temperature(other, 2.5)
    np.testing.assert_allclose(other.predict(images, verbose=0) * 2.5, before, rtol=1e-4, atol=1e-5)


def test_is_digit_is_what_the_probabilities_say(network, digits):
    plain = digit_model(lenet5_onnx(network, {"license": "MIT"}))
    images = np.concatenate([digits.test.images[:99], np.zeros((1, 28, 28), np.uint8)])
    names = ["probabilities", "label", "has_ink"]
    expected = session(plain).run(names, {"image": images})
    surest = expected[0].max(axis=1)
    threshold = float(np.median(surest))
    model = digit_onnx(lenet5_onnx(network, {"license": "MIT"}), Doubt(1.5, threshold))
    onnx.checker.check_model(model, full_check=True)
    *same, is_digit = session(model).run([*names, "is_digit"], {"image": images})
    for ours, theirs in zip(same, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(is_digit, (surest >= np.float32(threshold)) & expected[2])
    assert not is_digit[-1] and 20 < is_digit.sum() < 80
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert about["license"] == "MIT" and about["temperature"] == "1.5"
    assert float(about["threshold"]) == pytest.approx(threshold, rel=1e-5)
