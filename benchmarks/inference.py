"""How fast one digit is read: the ONNX files beside Keras and PyTorch, in one run.

    LENET_KERAS_DATA=... python benchmarks/inference.py

One thread each, one picture at a time, in alternating turns; the median of all. PyTorch takes
part where it is installed. Cold starts are whole processes.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
from PIL import Image

from lenet_keras import load_mnist

ROOT = Path(__file__).parent.parent
EXPORT = ROOT / "export"
TURNS = 5
CLASSIFIER = "import sys, lenet_keras; print(lenet_keras.Classifier()(sys.argv[1]).label)"


def peers(image: np.ndarray) -> dict[str, Callable[[], object]]:
    """Each reads one digit when called."""
    import tensorflow as tf

    from lenet_keras.training import load_model

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    large = np.kron(image, np.ones((1, 10, 10), np.uint8))

    def of_file(name: str, picture: np.ndarray) -> Callable[[], object]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(EXPORT / name, options)
        feed = {session.get_inputs()[0].name: picture}
        return lambda: session.run(["label"], feed)

    model = load_model(ROOT / "results" / "tutorial")
    found = {
        "lenet5.onnx": of_file("lenet5.onnx", image),
        "lenet5-int8.onnx": of_file("lenet5-int8.onnx", image),
        "digit.onnx, 28x28": of_file("digit.onnx", image),
        "digit.onnx, 280x280": of_file("digit.onnx", large),
        "Keras, model(x)": lambda: model(image, training=False).numpy(),
        "Keras, model.predict(x)": lambda: model.predict(image, verbose=0),
    }
    if importlib.util.find_spec("torch"):
        found["PyTorch, eager"] = torch_peer(model, image)
    return found


def torch_peer(model: keras.Model, image: np.ndarray) -> Callable[[], object]:
    """The same weights in PyTorch."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    twin = nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Tanh()),
        *(nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Tanh()),
        *(nn.Flatten(), nn.Linear(800, 500), nn.Tanh(), nn.Linear(500, 10)),
    ).eval()
    layers = [twin[i] for i in (0, 3, 7, 9)]
    for layer, name in zip(layers, ("conv1", "conv2", "hidden", "logits")):
        kernel, bias = model.get_layer(name).get_weights()
        if name == "hidden":
            kernel = kernel.reshape(4, 4, 50, 500).transpose(2, 0, 1, 3).reshape(800, 500)
        kernel = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
        layer.weight.data, layer.bias.data = torch.tensor(kernel.copy()), torch.tensor(bias)
    pixels = torch.tensor(image)[:, None]

    @torch.no_grad()
    def read() -> int:
        return int(twin(pixels.float() / 256).argmax())

    assert read() == int(model(image).numpy().argmax())
    return read


def microseconds(read: Callable[[], object], seconds: float = 0.5) -> list[float]:
    """Times of single calls, for about half a second after warming up."""
    for _ in range(5):
        read()
    times, began = [], time.perf_counter()
    while time.perf_counter() - began < seconds:
        start = time.perf_counter()
        read()
        times.append(1e6 * (time.perf_counter() - start))
    return times


def cold_starts(image: np.ndarray) -> dict[str, float]:
    """Seconds from a shell's command to the end of a process that reads one picture."""
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "digit.png"))
        Image.fromarray(image[0]).save(file)
        command = str(Path(sys.executable).with_name("lenet-keras"))
        commands = {
            "onnxruntime alone (export/python/classify.py)": [
                sys.executable,
                str(EXPORT / "python/classify.py"),
                file,
            ],
            "lenet_keras.Classifier": [sys.executable, "-c", CLASSIFIER, file],
            "lenet-keras classify": [command, "classify", file],
            "importing Keras, for comparison": [sys.executable, "-c", "import keras"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(TURNS):
            for name, words in commands.items():
                began = time.perf_counter()
                subprocess.run(words, capture_output=True, check=True)
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    image = load_mnist(os.environ.get("LENET_KERAS_DATA", "mnist")).test.images[:1]
    print("| file | nodes | bytes |\n| --- | --- | --- |")
    sizes = {}
    for name in ("lenet5.onnx", "lenet5-int8.onnx", "digit.onnx"):
        sizes[name] = (EXPORT / name).stat().st_size
        print(f"| {name} | {len(onnx.load(EXPORT / name).graph.node)} | {sizes[name]:,} |")

    everyone = peers(image)
    times: dict[str, list[float]] = {name: [] for name in everyone}
    for turn in range(TURNS):
        for name in list(everyone)[:: 1 if turn % 2 == 0 else -1]:
            times[name] += microseconds(everyone[name])
    medians = {name: statistics.median(values) for name, values in times.items()}
    first = medians["lenet5.onnx"]
    print("\n| one digit, one thread | microseconds | of lenet5.onnx |\n| --- | --- | --- |")
    for name, median in medians.items():
        print(f"| {name} | {median:,.0f} | {median / first:.2f} |")
    if "PyTorch, eager" not in medians:
        print("\nPyTorch is not installed and did not take part.")

    print("\n| from a cold shell | seconds |\n| --- | --- |")
    colds = cold_starts(image)
    for name, seconds in colds.items():
        print(f"| {name} | {seconds:.2f} |")
    print(
        f"\nint8 takes {100 * sizes['lenet5-int8.onnx'] / sizes['lenet5.onnx']:.1f} % of "
        f"float32's bytes (30 are allowed) and "
        f"{100 * medians['lenet5-int8.onnx'] / first:.0f} % of its time (70 are allowed).\n"
        f"`lenet-keras classify` answers in {colds['lenet-keras classify']:.2f} s "
        "(0.5 are allowed)."
    )


if __name__ == "__main__":
    main()
