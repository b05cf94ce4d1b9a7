"""How far digit.onnx is to be believed: probabilities that mean what they say, and a limit.

A network says how sure it is, but not rightly: Guo and others, "On calibration of modern neural
networks" (2017), divide its logits by a temperature, the one under which the labels of digits it
was not fitted to are likeliest. No answer changes by that. What is then less sure than all but
1 in 100 of the digits is refused: it may be a letter, two digits, a scribble.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lenet_keras.data import Split
from lenet_keras.distortion import Distort
from lenet_keras.recipe import MODERN, Distortion

__all__ = ["REFUSED", "Doubt", "apply_temperature", "doubt_of", "with_is_digit"]

REFUSED = 0.01  # the share of true digits that may be refused
TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(5), 321))  # 1 % apart


class Doubt(NamedTuple):
    """temperature: divides the logits. threshold: what is less sure is refused."""

    temperature: float
    threshold: float


def doubt_of(model: keras.Model, split: Split) -> Doubt:
    """What these digits, distorted as the modern recipe distorts them, say of a network.

    Args:
        model: uint8 [N, 28, 28] to logits [N, 10].
        split: digits it has not learned; the validation digits.

    Returns:
        Its temperature, and the probability that REFUSED of the digits do not reach with it.
    """
    distort = Distort(MODERN.distortion or Distortion(), seed=0)
    parts = [split.images[i : i + 500] for i in range(0, len(split.images), 500)]
    images = np.concatenate(
        [keras.ops.convert_to_numpy(distort(part, training=True)) for part in parts]
    )
    logits = model.predict(images, batch_size=500, verbose=0)
    costs = [_cost(logits / t, split.labels) for t in TEMPERATURES]
    temperature = float(TEMPERATURES[np.argmin(costs)])
    surest = np.exp(_log_softmax(logits / temperature)).max(axis=1)
    return Doubt(temperature, float(np.quantile(surest, REFUSED)))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _cost(logits: np.ndarray, labels: np.ndarray) -> float:
    return -float(np.mean(_log_softmax(logits)[np.arange(len(labels)), labels]))


def apply_temperature(model: keras.Model, temperature: float) -> None:
    """Divide the weights of the model's logits by the temperature, in place."""
    layer = model.get_layer("logits")
    layer.set_weights([weights / np.float32(temperature) for weights in layer.get_weights()])


def with_is_digit(model: onnx.ModelProto, doubt: Doubt) -> onnx.ModelProto:
    """digit.onnx with one more output: ``is_digit`` bool [N], false for what is refused.

    Args:
        model: with the outputs ``probabilities`` and ``has_ink``, of a calibrated network.
        doubt: goes into the file's metadata, too.
    """
    graph = model.graph
    graph.initializer.append(
        numpy_helper.from_array(np.array(doubt.threshold, np.float32), "is_digit/threshold")
    )
    graph.node.extend(
        [
            helper.make_node(
                "ReduceMax", ["probabilities"], ["surest"], "surest", axes=[1], keepdims=0
            ),
            helper.make_node("Less", ["surest", "is_digit/threshold"], ["unsure"], "unsure"),
            helper.make_node("Not", ["unsure"], ["sure"], "sure"),
            helper.make_node("And", ["sure", "has_ink"], ["is_digit"], "is_digit"),
        ]
    )
    graph.output.append(helper.make_tensor_value_info("is_digit", TensorProto.BOOL, ["N"]))
    about = {entry.key: entry.value for entry in model.metadata_props}
    helper.set_model_props(model, about | {k: f"{v:.6g}" for k, v in doubt._asdict().items()})
    return model
