"""The numbers of lenet5-int8.onnx as C, for lenet5.c:

    python export/c/weights.py     # reads export/lenet5-int8.onnx, writes export/c/weights.h

What needs no knowledge of the picture is computed here: the products with a zero point go into
the biases, three scales become one, and tanh of a byte is a table.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

HERE = Path(__file__).parent
TYPES = {"int8": "int8_t", "uint8": "uint8_t", "int32": "int32_t", "float32": "float"}


def numbers_of(model: onnx.ModelProto) -> tuple[dict[str, int], dict[str, np.ndarray]]:
    """The sizes and the arrays that lenet5.c uses, by their names there.

    Args:
        model: lenet5-int8.onnx, of any number of kernels and hidden units.

    Raises:
        SystemExit: the first layer's bytes are not the pixels themselves.
    """
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}

    def unit(name: str) -> tuple[float, int]:
        """The scale and the zero point of bytes."""
        return float(constants[f"{name}_scale"]), int(constants[f"{name}_zero_point"])

    if unit("channel") != (float(constants["scale/by"]), 0):
        raise SystemExit("lenet5-int8.onnx: conv1 wants other bytes than a picture's.")
    kernels = {name: constants[f"{name}/kernel_quantized"] for name in ("conv1", "conv2")}
    kernels["hidden"] = constants["hidden/kernel_quantized"].T  # a unit's weights in a row
    arrays: dict[str, np.ndarray] = {}
    sizes = {"SIDE": 28}
    for name, before, after in (
        ("conv1", "channel", "tanh1"),
        ("conv2", "tanh1", "flatten"),
        ("hidden", "flatten", None),
    ):
        kernel, (scale, zero), (own, own_zero) = kernels[name], unit(before), unit(name)
        products = scale * constants[f"{name}/kernel_scale"].astype(float)
        bias = np.rint(constants[f"{name}/bias"] / products)
        arrays[f"{name}_kernel"] = kernel
        arrays[f"{name}_bias"] = (bias - zero * kernel.reshape(len(kernel), -1).sum(1)).astype("i4")
        arrays[f"{name}_scale"] = (products / own).astype(np.float32)
        sizes[f"{name.upper()}_ZERO"] = own_zero
        tanh = np.tanh(own * (np.arange(256) - own_zero))
        if after:
            scale, zero = unit(after)
            tanh = (np.rint(tanh / scale) + zero).clip(0, 255).astype(np.uint8)
        arrays[f"{name}_tanh"] = tanh if after else tanh.astype(np.float32)
    arrays["logits_kernel"] = constants["logits/kernel"]
    arrays["logits_bias"] = constants["logits/bias"]
    sizes |= {"MAPS1": len(kernels["conv1"]), "MAPS2": len(kernels["conv2"])}
    sizes |= {"SIDE1": 12, "SIDE2": 4, "HIDDEN": len(kernels["hidden"])}
    return sizes, arrays


def main() -> None:
    sizes, arrays = numbers_of(onnx.load(HERE.parent / "lenet5-int8.onnx"))
    lines = ["/* Made by export/c/weights.py from export/lenet5-int8.onnx. */"]
    lines += [f"enum {{ {', '.join(f'{name} = {n}' for name, n in sizes.items())} }};"]
    for name, array in arrays.items():
        end = "f" if array.dtype == np.float32 else ""
        words = [f"{value!s}{end}" for value in array.ravel()]
        lines.append(f"static const {TYPES[array.dtype.name]} {name}[{array.size}] = {{")
        lines += [",".join(words[i : i + 20]) + "," for i in range(0, len(words), 20)] + ["};"]
    (HERE / "weights.h").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
