"""How a network is scored: on which weights, by how many wrong digits, with what confidence."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import keras
import numpy as np

from lenet_keras.data import Split
from lenet_keras.devices import alone

__all__ = ["Averaged", "wilson_interval", "zero_one_loss"]


def zero_one_loss(model: keras.Model, split: Split) -> float:
    """The fraction of a split's digits that the model gets wrong, every digit counted once.

    Args:
        model: uint8 [N, 28, 28] to logits [N, 10].
        split: any number of digits; the last minibatch may be smaller.

    Returns:
        A fraction from 0 to 1.
    """
    with alone():
        logits = model.predict(split.images, batch_size=500, verbose=0)
    return float(np.mean(logits.argmax(axis=1) != split.labels))


def wilson_interval(errors: int, n: int) -> tuple[float, float]:
    """Where the true error lies, with 95 % confidence, if ``errors`` of ``n`` were wrong.

    Wilson, "Probable inference, the law of succession, and statistical inference" (1927).

    Args:
        errors: how many were wrong.
        n: of how many, at least 1.

    Returns:
        The lower and the upper bound, in percent.
    """
    from scipy.stats import binomtest

    interval = binomtest(errors, n).proportion_ci(0.95, method="wilson")
    return 100 * float(interval.low), 100 * float(interval.high)


class Averaged:
    """The network that is scored and kept: float32, the mean of the latest weights.

    Izmailov and others, "Averaging weights leads to wider optima" (2018).

    Args:
        network: takes the mean.
        n: how many validations' weights are averaged; 1 keeps the weights themselves.
        latest: those of the validations so far, the newest last.
    """

    def __init__(self, network: keras.Model, n: int, latest: Iterable[list[np.ndarray]]) -> None:
        self.network = network
        self.latest = deque(latest, maxlen=n)

    def __call__(self, learner: keras.Model) -> keras.Model:
        weights = learner.trainable_variables  # without what distortions keep
        self.latest.append([keras.ops.convert_to_numpy(each) for each in weights])
        self.network.set_weights([np.mean(each, axis=0) for each in zip(*self.latest)])
        return self.network
