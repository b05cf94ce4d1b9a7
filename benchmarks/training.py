"""The tutorial's training, ours beside its peers, in alternating turns.

    LENET_KERAS_DATA=... python benchmarks/training.py [turns] > benchmarks/results/training.md

Same network, same digits, same minibatches of 500 in the same order; an epoch is training
alone, without validation. Every turn of a peer is a fresh process: one epoch to warm up, then
two timed (of Theano, five minibatches and one epoch). Peers that are not installed are left
out: ``pip install torch jax`` brings them (torch's CPU build is enough). For the tutorial's own
library name a Python 2.7 that has Theano 0.8.2 in PYTHON2, and a BLAS for it in THEANO_FLAGS; it
is run as the tutorial calls it, and with the convolution by matrix products that Theano gained
later, each with the threads that suit it best.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

FLOP = 0.66e12  # of an epoch: 50,000 digits, 13.2 MFLOP each, as the README counts them
PEERS = {  # name: what must be there for it
    "ours": "tensorflow",
    "ours, bfloat16": "tensorflow",
    "plain Keras": "tensorflow",
    "ours on JAX": "jax",
    "PyTorch": "torch",
    "PyTorch, channels_last": "torch",
    "PyTorch, compiled": "torch",
    "Theano 0.8.2, as in the tutorial": "theano",
    "Theano 0.8.2, later conv2d": "theano",
}
THREADS = {  # every library's own way to be told how many
    "TF_NUM_INTRAOP_THREADS": "{}",
    "TF_NUM_INTEROP_THREADS": "{}",
    "OMP_NUM_THREADS": "{}",
    "OPENBLAS_NUM_THREADS": "{}",
    "NPROC": "{}",
}


def keras_epoch(peer: str, batch_size: int) -> Callable[[], object]:
    """A function that trains one epoch with Keras."""
    from dataclasses import replace

    import keras

    from lenet_keras import TUTORIAL, load_mnist
    from lenet_keras.training import compiled, initial_model, minibatches

    train = load_mnist(os.environ.get("LENET_KERAS_DATA", "mnist")).train
    images, labels = train
    if peer == "plain Keras":
        images = images[..., np.newaxis] / np.float32(256)
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                layers.Conv2D(20, 5),
                layers.MaxPooling2D(2),
                layers.Activation("tanh"),
                layers.Conv2D(50, 5),
                layers.MaxPooling2D(2),
                layers.Activation("tanh"),
                layers.Flatten(),
                layers.Dense(500, activation="tanh"),
                layers.Dense(10),
            ]
        )
        model.compile(
            keras.optimizers.SGD(TUTORIAL.learning_rate),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
    else:
        precision = "bfloat16" if "bfloat16" in peer else "float32"
        recipe = replace(TUTORIAL, batch_size=batch_size, precision=precision, n_epochs=1)
        model = compiled(initial_model(recipe), recipe, len(labels) // batch_size)
        return lambda: model.fit(minibatches(train, recipe), shuffle=False, verbose=0)
    return lambda: model.fit(images, labels, batch_size=batch_size, shuffle=False, verbose=0)


def torch_epoch(peer: str, batch_size: int) -> Callable[[], object]:
    """A function that trains one epoch with PyTorch."""
    import torch
    from torch import nn

    from lenet_keras import load_mnist

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    split = load_mnist(os.environ.get("LENET_KERAS_DATA", "mnist")).train
    images, labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)
    model = nn.Sequential(
        nn.Conv2d(1, 20, 5),
        nn.MaxPool2d(2),
        nn.Tanh(),
        nn.Conv2d(20, 50, 5),
        nn.MaxPool2d(2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(800, 500),
        nn.Tanh(),
        nn.Linear(500, 10),
    )
    layout = torch.contiguous_format if peer == "PyTorch" else torch.channels_last
    model = model.to(memory_format=layout)
    forward = torch.compile(model) if "compiled" in peer else model
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loss = nn.CrossEntropyLoss()

    def epoch() -> None:
        for i in range(0, len(labels) - batch_size + 1, batch_size):
            x = images[i : i + batch_size, None].float().div(256).contiguous(memory_format=layout)
            optimizer.zero_grad()
            loss(forward(x), labels[i : i + batch_size]).backward()
            optimizer.step()

    return epoch


def worker(peer: str, batch_size: int, n_timed: int) -> None:
    """Print the seconds of each timed epoch, then the peak of memory in MiB."""
    epoch = (torch_epoch if "PyTorch" in peer else keras_epoch)(peer, batch_size)
    for i in range(1 + n_timed):
        began = time.perf_counter()
        epoch()
        if i:
            print(time.perf_counter() - began)
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def sgemm() -> None:
    """Print this machine's best GFLOP/s of a float32 matrix product."""
    a, n = np.random.default_rng(0).random((2048, 2048), np.float32), 2048
    seconds = []
    for _ in range(20):
        began = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - began)
    print(2 * n**3 / min(seconds) / 1e9)


def start_up() -> None:
    """Print the seconds since BEGAN when the first minibatches are done."""
    import keras

    from lenet_keras import TUTORIAL, load_mnist
    from lenet_keras.training import compiled, initial_model, minibatches

    class First(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
            print(time.time() - float(os.environ["BEGAN"]), flush=True)
            os._exit(0)

    mnist = load_mnist(os.environ.get("LENET_KERAS_DATA", "mnist"))
    model = compiled(initial_model(TUTORIAL), TUTORIAL, 100)
    model.fit(minibatches(mnist.train, TUTORIAL), shuffle=False, verbose=0, callbacks=[First()])


def run(*arguments: str, threads: int | None = None, **env: str) -> list[float]:
    """The numbers that a fresh process prints."""
    some = {name: value.format(threads) for name, value in THREADS.items()} if threads else {}
    environment = os.environ | some | env
    if arguments[0] == "--worker" and arguments[1] == "ours on JAX":
        environment["KERAS_BACKEND"] = "jax"
        if threads == 1:
            environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    command = [sys.executable, __file__, *arguments]
    if arguments[0] == "--worker" and "Theano" in arguments[1]:
        script = str(Path(__file__).with_name("theano_epoch.py"))
        later = "later" in arguments[1]
        # OpenMP's threads and those of the BLAS would fight: the later one has the first alone
        flags = f"floatX=float32,openmp={later},{os.environ.get('THEANO_FLAGS', '')}"
        environment["THEANO_FLAGS"] = flags
        if later:
            environment["OPENBLAS_NUM_THREADS"] = "1"
        command = [os.environ["PYTHON2"], script, os.environ["DIGITS"], *arguments[2:]]
        command += ["later"] * later
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return [float(line.split()[-1]) for line in done.stdout.splitlines()]


def there(peer: str) -> bool:
    if PEERS[peer] == "theano":
        return "PYTHON2" in os.environ
    return importlib.util.find_spec(PEERS[peer]) is not None


def main(turns: int = 3) -> None:
    from lenet_keras import load_mnist

    peers = [peer for peer in PEERS if there(peer)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DIGITS"] = str(Path(folder, "train.npz"))
        split = load_mnist(os.environ.get("LENET_KERAS_DATA", "mnist")).train
        np.savez(os.environ["DIGITS"], images=split.images, labels=split.labels)
        measure(peers, turns)


def measure(peers: list[str], turns: int) -> None:
    seconds: dict[str, list[float]] = {peer: [] for peer in peers}
    peak: dict[str, float] = {}
    rates: list[float] = []
    for turn in range(turns):
        for peer in peers if turn % 2 == 0 else reversed(peers):
            print(f"turn {turn + 1}/{turns}: {peer}", file=sys.stderr)
            *timed, peak[peer] = run("--worker", peer, "500", "1" if "Theano" in peer else "2")
            seconds[peer] += timed
            rates += run("--sgemm")
    sgemm_rate = statistics.median(rates)
    libraries = ["keras", "tensorflow", "jax", "torch"]
    versions = [
        f"{name} {importlib.metadata.version(name)}"
        for name in libraries
        if importlib.util.find_spec(name)
    ]
    print(
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {', '.join(versions)}. "
        f"sgemm (2048x2048, NumPy's OpenBLAS), measured between the turns: median "
        f"{sgemm_rate:.0f} GFLOP/s, from {min(rates):.0f} to {max(rates):.0f}.\n"
    )
    print(
        "| minibatches of 500 | s per epoch, median | fastest | slowest | digits/s | "
        "of sgemm | peak memory |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for peer, some in seconds.items():
        median = statistics.median(some)
        print(
            f"| {peer} | {median:.2f} | {min(some):.2f} | {max(some):.2f} | {50_000 / median:,.0f} "
            f"| {100 * FLOP / median / 1e9 / sgemm_rate:.0f} % | {peak[peer]:.0f} MiB |"
        )
    few = [p for p in peers if p in ("ours", "ours, bfloat16", "plain Keras", "PyTorch, compiled")]
    sizes = (50, 100, 500, 1000, 5000)
    print("\n| s per epoch, minibatches of |", " | ".join(f"{n:,}" for n in sizes), "|")
    print("| --- |" + " --- |" * len(sizes))
    for peer in few:
        row = [min(run("--worker", peer, str(n), "2")[:-1]) for n in sizes]
        print(f"| {peer} |", " | ".join(f"{s:.2f}" for s in row), "|", flush=True)
    counts = [n for n in (1, 2, 4, 8, 16) if n <= os.cpu_count()]
    print("\n| s per epoch, threads |", " | ".join(map(str, counts)), "|")
    print("| --- |" + " --- |" * len(counts))
    for peer in few:
        row = [min(run("--worker", peer, "500", "2", threads=n)[:-1]) for n in counts]
        print(f"| {peer} |", " | ".join(f"{s:.2f}" for s in row), "|", flush=True)
    starts = [run("--start-up", BEGAN=str(time.time()))[0] for _ in range(3)]
    print(
        "\nFrom the start of the process to the end of the first 10 minibatches, data on disk: "
        f"{statistics.median(starts):.1f} s."
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1:2] == ["--sgemm"]:
        sgemm()
    elif sys.argv[1:2] == ["--start-up"]:
        start_up()
    else:
        main(*map(int, sys.argv[1:]))
