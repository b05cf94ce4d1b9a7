"""The tutorial's LeNet, layer for layer and weight for weight, in Keras 3.

    images    uint8 [N, 28, 28]
    scale     / 256                                   -> [N, 28, 28]
    channel   one feature map                         -> [N, 28, 28, 1]
    conv1     20 kernels 5x5 + bias                   -> [N, 24, 24, 20]
    pool1     largest of 2x2                          -> [N, 12, 12, 20]
    tanh1
    conv2     50 kernels 5x5x20 + bias                -> [N, 8, 8, 50]
    pool2     largest of 2x2                          -> [N, 4, 4, 50]
    tanh2
    flatten                                           -> [N, 800]
    hidden    500 tanh units                          -> [N, 500]
    logits    10 scores; softmax: probabilities       -> [N, 10]

The tutorial adds the bias after pooling; Keras's Conv2D adds it before. Rounding
never changes which of two sums is larger, so max(x) + b and max(x + b) are the same
float and the two networks are one function.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from lenet_keras.recipe import TUTORIAL

__all__ = ["TheanoWeights", "build_lenet5", "draw_weights", "to_keras"]

SIDE = 28
KERNEL = 5
N_CLASSES = 10


class TheanoWeights(NamedTuple):
    """One layer's parameters as the tutorial keeps them.

    W: float32 [kernels, channels, 5, 5] for a convolution, [n_in, n_out] for a dense layer.
    b: float32 [kernels] or [n_out].
    """

    W: np.ndarray
    b: np.ndarray


def draw_weights(
    nkerns: tuple[int, int] = TUTORIAL.nkerns,
    n_hidden: int = TUTORIAL.n_hidden,
    seed: int = TUTORIAL.seed,
) -> dict[str, TheanoWeights]:
    """The tutorial's initial weights, in the tutorial's own layout.

    One RandomState draws conv1, conv2 and hidden, in that order, from U(-b, b) with
    b = sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010). A unit below a convolution
    gets its gradient from kernels * 5 * 5 weights, but pooling lets only one in 2 * 2
    through, hence the division in ``fan_out``; it is Python 2's, which rounds down.
    Biases are 0, and so is the whole logistic layer (``logistic_sgd.py``).

    Args:
        nkerns: kernels of conv1 and conv2, both positive.
        n_hidden: units of the hidden layer, positive.
        seed: of numpy.random.RandomState.

    Returns:
        conv1, conv2, hidden and logits, by name.
    """
    rng = np.random.RandomState(seed)

    def uniform(fan_in: int, fan_out: int, size: tuple[int, ...]) -> TheanoWeights:
        bound = np.sqrt(6.0 / (fan_in + fan_out))
        W = rng.uniform(low=-bound, high=bound, size=size).astype(np.float32)
        return TheanoWeights(W, np.zeros(size[0] if len(size) == 4 else size[1], np.float32))

    def conv(kernels: int, channels: int) -> TheanoWeights:
        area = KERNEL * KERNEL
        return uniform(channels * area, kernels * area // 4, (kernels, channels, KERNEL, KERNEL))

    n_flat = nkerns[1] * 4 * 4
    return {
        "conv1": conv(nkerns[0], 1),
        "conv2": conv(nkerns[1], nkerns[0]),
        "hidden": uniform(n_flat, n_hidden, (n_flat, n_hidden)),
        "logits": TheanoWeights(
            np.zeros((n_hidden, N_CLASSES), np.float32), np.zeros(N_CLASSES, np.float32)
        ),
    }


def to_keras(layer: str, weights: TheanoWeights) -> list[np.ndarray]:
    """The same weights in Keras's layout: [kernel, bias] as ``Layer.set_weights`` takes them.

    Three conventions differ. Theano convolves, which turns the kernel by 180 degrees; Keras
    cross-correlates, which does not: so the kernels are turned here. Theano's kernels are
    [out, in, height, width], Keras's [height, width, in, out]. Theano flattens feature maps
    as (map, row, column), Keras as (row, column, map): so the hidden layer's rows change places.
    """
    W, b = weights
    if W.ndim == 4:
        W = W[:, :, ::-1, ::-1].transpose(2, 3, 1, 0)
    elif layer == "hidden":
        n_hidden = W.shape[1]
        W = W.reshape(-1, 4, 4, n_hidden).transpose(1, 2, 0, 3).reshape(-1, n_hidden)
    return [np.ascontiguousarray(W), b]


def build_lenet5(
    nkerns: tuple[int, int] = TUTORIAL.nkerns,
    n_hidden: int = TUTORIAL.n_hidden,
    seed: int = TUTORIAL.seed,
    activation: str = TUTORIAL.activation,
    dropout: float = TUTORIAL.dropout,
    precision: str = "float32",
) -> keras.Model:
    """The tutorial's network with the tutorial's initial weights.

    Args:
        nkerns: kernels of conv1 and conv2, both positive; the tutorial has (20, 50).
        n_hidden: units of the hidden layer, positive; the tutorial has 500.
        seed: of the initial weights, and of the dropout.
        activation: of the feature maps and the hidden units; names their layers.
        dropout: the share of flattened features, and of hidden units, that a training step drops.
        precision: "float32", "bfloat16" for Keras's mixed_bfloat16 policy, or "float64".

    Returns:
        A model from uint8 [N, 28, 28] to logits float32 [N, 10]. With the defaults it has
        520 + 25,050 + 400,500 + 5,010 = 431,080 parameters.
    """
    weights = draw_weights(nkerns, n_hidden, seed)
    with _policy(precision):
        model = _layers(nkerns, n_hidden, seed, activation, dropout)
    for layer, theano_weights in weights.items():
        model.get_layer(layer).set_weights(to_keras(layer, theano_weights))
    return model


@contextlib.contextmanager
def _policy(precision: str) -> Iterator[None]:
    """Layers made meanwhile compute in this precision, whatever a user's keras.json says."""
    before = keras.config.dtype_policy(), keras.config.image_data_format()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else precision)
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before[0])
        keras.config.set_image_data_format(before[1])


def _layers(
    nkerns: tuple[int, int], n_hidden: int, seed: int, activation: str, dropout: float
) -> keras.Model:
    images = keras.Input((SIDE, SIDE), dtype="uint8", name="images")
    x = layers.Rescaling(1 / 256, name="scale")(images)
    x = layers.Reshape((SIDE, SIDE, 1), name="channel")(x)
    x = layers.Conv2D(nkerns[0], KERNEL, name="conv1")(x)
    x = layers.MaxPooling2D(2, name="pool1")(x)
    x = layers.Activation(activation, name=f"{activation}1")(x)
    x = layers.Conv2D(nkerns[1], KERNEL, name="conv2")(x)
    x = layers.MaxPooling2D(2, name="pool2")(x)
    x = layers.Activation(activation, name=f"{activation}2")(x)
    x = layers.Flatten(name="flatten")(x)
    if dropout:
        x = layers.Dropout(dropout, seed=seed, name="dropout1")(x)
    x = layers.Dense(n_hidden, activation=activation, name="hidden")(x)
    if dropout:
        x = layers.Dropout(dropout, seed=seed + 1, name="dropout2")(x)
    # float32 in any precision: the loss takes exponentials of these.
    logits = layers.Dense(N_CLASSES, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name="lenet5")
