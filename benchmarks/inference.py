"""How fast one digit is read: the ONNX files beside Keras and PyTorch, in one run.

    LENET_KERAS_DATA=... python benchmarks/inference.py > benchmarks/results/inference.md

One thread each, one picture at a time, in alternating turns; the median of all. PyTorch takes
part where it is installed. Cold starts are whole processes.
"""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from processor import measured_on
from speed import seconds
from table import header, row

from lenet_keras import load_mnist
from lenet_keras.run import load_model
from lenet_keras.ship.parity import session

ROOT = Path(__file__).parent.parent
EXPORT = ROOT / "export"
TURNS = 5
APP = str(EXPORT / "python" / "classify.py")
CLASSIFIER = "import sys, lenet_keras; print(lenet_keras.Classifier()(sys.argv[1]).label)"


def of_file(name: str, picture: np.ndarray) -> Callable[[], object]:
    run = session((EXPORT / name).read_bytes(), threads=1)
    feed = {run.get_inputs()[0].name: picture}
    return lambda: run.run(["label"], feed)


def peers(image: np.ndarray) -> dict[str, Callable[[], object]]:
    """Each reads one digit, uint8 [1, 28, 28], when called."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    large = np.kron(image, np.ones((1, 10, 10), np.uint8))
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
    from torch_epoch import lenet5

    torch.set_num_threads(1)
    twin = lenet5().eval()
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


def microseconds(read: Callable[[], object]) -> list[float]:
    """Times of single calls, for half a second after warming up."""
    for _ in range(5):
        read()
    times, began = [], time.perf_counter()
    while time.perf_counter() - began < 0.5:
        times.append(1e6 * seconds(read))
    return times


def warm(image: np.ndarray) -> dict[str, float]:
    """The median microseconds in which each peer reads a picture."""
    everyone = peers(image)
    times: dict[str, list[float]] = defaultdict(list)
    for turn in range(TURNS):
        for name in list(everyone)[:: 1 if turn % 2 == 0 else -1]:
            times[name] += microseconds(everyone[name])
    return {name: statistics.median(times[name]) for name in everyone}


def cold(image: np.ndarray) -> dict[str, float]:
    """The median seconds from a shell's command to the end of a process that reads a picture."""
    python, command = sys.executable, str(Path(sys.executable).with_name("lenet-keras"))
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "digit.png"))
        Image.fromarray(image[0]).save(file)
        commands = {
            "onnxruntime alone (export/python/classify.py)": [python, APP, file],
            "lenet_keras.Classifier": [python, "-c", CLASSIFIER, file],
            "lenet-keras classify": [command, "classify", file],
            "lenet-keras classify -": [command, "classify", "-"],
            "importing Keras, for comparison": [python, "-c", "import keras"],
        }
        times: dict[str, list[float]] = defaultdict(list)
        for _ in range(TURNS):
            for name, words in commands.items():
                times[name].append(seconds(partial(run, words, standard_input=file)))
    return {name: statistics.median(times[name]) for name in commands}


def run(command: list[str], standard_input: str) -> None:
    with open(standard_input, "rb") as file:
        subprocess.run(command, stdin=file, capture_output=True, check=True)


def main() -> None:
    image = load_mnist("mnist").test.images[:1]
    print(f"{measured_on()}\n")
    medians = warm(image)
    first = medians["lenet5.onnx"]
    print(header("one digit, one thread", "microseconds", "of lenet5.onnx"))
    for name, median in medians.items():
        print(row(name, f"{median:,.0f}", f"{median / first:.2f}"))
    if "PyTorch, eager" not in medians:
        print("\nPyTorch is not installed and did not take part.")

    colds = cold(image)
    print()
    print(header("from a cold shell", "seconds"))
    for name, median in colds.items():
        print(row(name, f"{median:.2f}"))
    print(
        f"\nint8 takes {100 * medians['lenet5-int8.onnx'] / first:.0f} % of float32's time "
        "(70 are allowed).\n"
        f"`lenet-keras classify -` answers in {colds['lenet-keras classify -']:.2f} s "
        "(0.5 are allowed)."
    )


if __name__ == "__main__":
    main()
