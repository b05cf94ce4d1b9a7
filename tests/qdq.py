"""A quantized ONNX graph in NumPy: its whole numbers summed exactly, its float32 kept as doubt.

Processors may differ in the last bits of a float32: a sum times a scale, a tanh. So a value
here is all that it can be on any of them, from ``low`` to ``high``. Where both are the same
byte, every processor must give that byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from onnx import helper, numpy_helper

SLACK = 2.0**-20  # how far off a few float32 operations may be, relatively: 16 roundings
INT16 = (-(2**15), 2**15 - 1)

Shape = tuple[int, ...]
Dot = Callable[[np.ndarray, np.ndarray, Shape], np.ndarray]


@dataclass(frozen=True)
class Values:
    """A tensor, ``scale * (x - zero)`` with each x between low and high. Numbers in float64."""

    low: np.ndarray
    high: np.ndarray
    scale: np.ndarray | float = 1.0
    zero: float = 0.0

    def each(self, function: Callable[[np.ndarray], np.ndarray]) -> Values:
        """A function that never falls, of both ends."""
        return replace(self, low=function(self.low), high=function(self.high))

    def real(self, by: float = 1.0, slack: float = 0.0) -> Values:
        """The numbers that the bytes stand for, divided by ``by``, each in float32's doubt."""
        low, high = (self.scale * (x - self.zero) / by for x in (self.low, self.high))
        return Values(low - slack * abs(low), high + slack * abs(high))


# --- sums of products ---


def exact(a: np.ndarray, w: np.ndarray, shape: Shape) -> np.ndarray:
    """Bytes [N, K] @ weights [K, M]. In float64 no sum of whole numbers below 2**53 is rounded."""
    return a @ w


def saturating(order: Callable[[Shape], np.ndarray]) -> Dot:
    """``exact`` as vpmaddubsw has it: products added in pairs, each pair held to 16 bits.

    ``order``: from a kernel's shape (channel, row, column) or (K,), the numbers of its K products
    as they are paired, first with second, third with fourth; -1 is an empty place.
    """

    def dot(a: np.ndarray, w: np.ndarray, shape: Shape) -> np.ndarray:
        sums = np.ascontiguousarray((a @ w).T)
        a, w = (np.append(x, np.zeros((1, x.shape[1])), axis=0) for x in (a.T, w))  # number -1
        for i, j in order(shape).reshape(-1, 2):
            can = 255 * (abs(w[i]) + abs(w[j])) > INT16[1]  # no other pair is ever clipped
            pair = np.outer(w[i, can], a[i]) + np.outer(w[j, can], a[j])
            sums[can] += pair.clip(*INT16) - pair
        return sums.T

    return dot


def affine(x: Values, w: Values, bias: Values, dot: Dot, shape: Shape) -> Values:
    """Bytes [N, K] times bytes [K, M], plus bias [M]: the least and the most that can come out."""
    scale = x.scale * np.ravel(w.scale)
    add = bias.low
    if np.ndim(w.scale):  # bytes: a bias is a whole number of their products' unit
        add = np.rint(bias.low / scale)
        np.testing.assert_allclose(add * scale, bias.low, rtol=1e-6)
    low = dot(x.low, w.low, shape) - x.zero * w.low.sum(axis=0) + add
    doubt = x.high - x.low
    if not doubt.any():
        return Values(low, low, scale)
    return Values(low + doubt @ w.low.clip(max=0), low + doubt @ w.low.clip(min=0), scale)


def conv(x: Values, w: Values, bias: Values, dot: Dot) -> Values:
    shape = w.low.shape[1:]
    windows = x.each(lambda v: sliding_window_view(v, shape[1:], axis=(2, 3)))
    n, _, height, width = windows.low.shape[:4]
    rows = windows.each(lambda v: v.transpose(0, 2, 3, 1, 4, 5).reshape(n * height * width, -1))
    sums = affine(rows, w.each(lambda v: v.reshape(len(v), -1).T), bias, dot, shape)
    maps = sums.each(lambda v: v.reshape(n, height, width, -1).transpose(0, 3, 1, 2))
    return replace(maps, scale=np.reshape(sums.scale, (-1, 1, 1)))


def gemm(x: Values, w: Values, bias: Values, dot: Dot) -> Values:
    if np.ndim(w.scale):  # a scale for each column: bytes
        return affine(x, w, bias, dot, w.low.shape[:1])
    sums = affine(x, w, bias, exact, w.low.shape[:1])
    # float32 may add up in any order: by how much the worst one is off
    largest = np.maximum(abs(x.low), abs(x.high)) @ abs(w.low) + abs(bias.low)
    off = (len(w.low) + 1) * 2.0**-24 * largest
    return Values(sums.low - off, sums.high + off)


# --- the graph ---


def quantize(x: Values, scale: Values, zero: Values, slack: float) -> Values:
    """Round half to even, add the zero point, keep to a byte, as ONNX defines it."""
    return x.real(float(scale.low), slack).each(
        lambda v: (np.rint(v) + zero.low.astype(float)).clip(0, 255)
    )


def dequantize(x: Values, scale: Values, zero: Values, axis: int) -> Values:
    if not scale.low.ndim:
        return replace(x, scale=float(scale.low), zero=float(zero.low))
    assert not zero.low.any()
    shape = [-1 if i == axis else 1 for i in range(x.low.ndim)]
    return replace(x.each(lambda v: v.astype(float)), scale=scale.low.reshape(shape).astype(float))


def max_pool(x: Values) -> Values:
    def pool(v: np.ndarray) -> np.ndarray:
        n, maps, height, width = v.shape
        return v.reshape(n, maps, height // 2, 2, width // 2, 2).max(axis=(3, 5))

    return x.each(pool)


def run(
    model: onnx.ModelProto, images: np.ndarray, slack: float = SLACK, dot: Dot = exact
) -> dict[str, Values]:
    """Every value of the graph up to the logits, by name.

    Args:
        model: from ``lenet5_int8_onnx``.
        images: uint8 [N, 28, 28].
        slack: how far off float32 may be, relatively; with 0, low and high are the same
            but in the logits.
        dot: how bytes times bytes are summed.
    """
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    values = {name: Values(v, v) for name, v in [*constants.items(), ("images", images)]}
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        x, *more = (values[name] for name in node.input)
        match node.op_type:
            case "Cast":
                y = x.each(lambda v: v.astype(float))
            case "Mul":
                y = x.each(lambda v, by=more[0].low: v * by)
            case "Reshape":
                y = x.each(lambda v, shape=more[0].low: v.reshape(shape))
            case "QuantizeLinear":
                y = quantize(x, *more, slack)
            case "DequantizeLinear":
                y = dequantize(x, *more, attributes.get("axis", 1))
            case "Conv":
                y = conv(x, *more, dot)
            case "Gemm":
                y = gemm(x, *more, dot)
            case "MaxPool":
                y = max_pool(x)
            case "Tanh":
                y = x.real(slack=slack).each(np.tanh).real(slack=slack)
            case "Softmax":
                return values
            case other:
                raise NotImplementedError(other)
        values[node.output[0]] = y
    return values
