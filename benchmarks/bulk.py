"""A million pictures through digit.onnx: on Ray, in one process, and what onnxruntime can do.

    LENET_KERAS_DATA=... python benchmarks/bulk.py [pictures] > benchmarks/results/bulk.md

The pictures are MNIST's 70,000 digits, each time shifted anew by up to 3 pixels.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
from processor import measured_on
from pyarrow import parquet
from speed import seconds
from table import header, row

from lenet_keras import Classifier, load_mnist
from lenet_keras.scale.bulk import classify_in_bulk

DIGIT = Path(__file__).parent.parent / "export" / "digit.onnx"
A_FILE = 50_000


def make(folder: Path, n: int) -> np.ndarray:
    """Write n pictures into files of 50,000.

    Returns:
        What they are, int64 [n].
    """
    folder.mkdir()
    mnist = load_mnist("mnist")
    splits = (mnist.train, mnist.valid, mnist.test)
    images, labels = (np.concatenate(arrays) for arrays in zip(*splits))
    room = np.pad(images, ((0, 0), (3, 3), (3, 3)))
    windows = np.lib.stride_tricks.sliding_window_view(room, (28, 28), axis=(1, 2))
    rng = np.random.default_rng(0)
    written = []
    for start in range(0, n, A_FILE):
        which = np.arange(start, min(n, start + A_FILE)) % len(images)
        y, x = rng.integers(0, 7, (2, len(which)))
        np.save(folder / f"{start:09d}.npy", windows[which, y, x])
        written.append(labels[which])
    return np.concatenate(written)


def read_all(session: onnxruntime.InferenceSession, images: np.ndarray) -> None:
    """As an app would without lenet-keras, 500 pictures at a time."""
    outputs = ["probabilities", "label", "normalized", "has_ink", "is_digit"]
    for i in range(0, len(images), 500):
        session.run(outputs, {"image": images[i : i + 500]})


@contextmanager
def peaks() -> Iterator[dict[str, float]]:
    """The most memory that any worker of Ray's, and this process, had meanwhile, in MiB."""
    most, ended = {"worker": 0.0, "driver": 0.0}, threading.Event()

    def look() -> None:
        while not ended.wait(0.5):
            for path in Path("/proc").glob("[0-9]*"):
                try:
                    command = (path / "cmdline").read_bytes()
                    kind = "worker" if b"MapWorker" in command else "driver"
                    if kind == "worker" or path.name == str(os.getpid()):
                        status = (path / "status").read_text()
                        kib = int(status.split("VmRSS:")[1].split()[0])
                        most[kind] = max(most[kind], kib / 1024)
                except (OSError, IndexError):  # it has just ended
                    continue

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def labels_in(folder: Path) -> np.ndarray:
    """The answers, in the order of the pictures."""
    files = sorted(folder.glob("part-*.parquet"))
    return np.concatenate([parquet.ParquetFile(file).read()["label"].to_numpy() for file in files])


def main(n: int = 1_000_000) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        many, few = folder / "many", folder / "few"
        truth = make(many, n)
        some = np.load(many / f"{0:09d}.npy")
        few.mkdir()
        np.save(few / "0.npy", some[:500])
        session = onnxruntime.InferenceSession(DIGIT, providers=["CPUExecutionProvider"])
        alone = seconds(lambda: read_all(session, some))
        classifier = Classifier()
        one_process = seconds(lambda: list(classifier(some)))
        start = seconds(lambda: classify_in_bulk([few], folder / "few-answers"))
        with peaks() as mib:
            on_ray = seconds(lambda: classify_in_bulk([many], folder / "answers"))
        wrong = np.mean(labels_in(folder / "answers") != truth)
    print(f"{measured_on()}\n")
    print(header("", "pictures", "s", "pictures/s"))
    for what, count, time in (
        ("onnxruntime alone, every core, arrays in memory", len(some), alone),
        ("Classifier, one process", len(some), one_process),
        ("--engine ray, its start", 500, start),
        ("--engine ray, files to files", n, on_ray),
    ):
        print(row(what, f"{count:,}", f"{time:.1f}", f"{count / time:,.0f}"))
    print(
        f"\nOf {n:,} answers {100 * wrong:.2f} % are wrong. "
        f"Largest worker: {mib['worker']:.0f} MiB; driver: {mib['driver']:.0f} MiB."
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
