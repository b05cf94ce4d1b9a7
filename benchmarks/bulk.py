"""A million pictures through digit.onnx: on Ray, in one process, and what onnxruntime can do.

    LENET_KERAS_DATA=... python benchmarks/bulk.py [pictures]

Prints a table. The pictures are MNIST's 70,000 digits, each time shifted anew by up to 3 pixels.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from pyarrow import parquet

from lenet_keras import Classifier, load_mnist
from lenet_keras.scale.bulk import classify_in_bulk

DIGIT = Path(__file__).parent.parent / "export" / "digit.onnx"
A_FILE = 50_000


def make(folder: Path, n: int) -> np.ndarray:
    """Write the pictures into files of 50,000, and return what they are."""
    mnist = load_mnist(os.environ.get("LENET_KERAS_DATA", "mnist"))
    images = np.concatenate([split.images for split in (mnist.train, mnist.valid, mnist.test)])
    labels = np.concatenate([split.labels for split in (mnist.train, mnist.valid, mnist.test)])
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


class Peak(threading.Thread):
    """The largest resident memory of any one process of this user's that works on the pictures."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.mib = {"worker": 0.0, "driver": 0.0}

    def run(self) -> None:
        while True:
            for path in Path("/proc").glob("[0-9]*"):
                try:
                    command = (path / "cmdline").read_bytes()
                    kind = "worker" if b"MapWorker" in command else "driver"
                    if kind == "worker" or path.name == str(os.getpid()):
                        status = (path / "status").read_text()
                        kib = int(status.split("VmRSS:")[1].split()[0])
                        self.mib[kind] = max(self.mib[kind], kib / 1024)
                except (OSError, IndexError):
                    continue
            time.sleep(0.5)


def main(n: int = 1_000_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in").mkdir()
        truth = make(Path(folder) / "in", n)
        some = np.load(Path(folder) / "in" / f"{0:09d}.npy")
        rows = []

        def timed(what: str, count: int, work: Callable[[], object]) -> None:
            began = time.perf_counter()
            work()
            rows.append((what, count, time.perf_counter() - began))

        session = onnxruntime.InferenceSession(DIGIT, providers=["CPUExecutionProvider"])
        outputs = ["probabilities", "label", "normalized", "has_ink"]

        def bare() -> None:
            for i in range(0, len(some), 500):
                session.run(outputs, {"image": some[i : i + 500]})

        timed("onnxruntime alone, every core, arrays in memory", len(some), bare)
        classifier = Classifier()
        timed("Classifier, one process", len(some), lambda: list(classifier(some)))
        (Path(folder) / "few").mkdir()
        np.save(Path(folder) / "few" / "0.npy", some[:500])
        few, answers = [f"{folder}/few"], Path(folder) / "few_out"
        timed("--engine ray, its start", 500, lambda: classify_in_bulk(few, answers))
        peak = Peak()
        peak.start()
        out = Path(folder) / "out"
        timed("--engine ray, files to files", n, lambda: classify_in_bulk([f"{folder}/in"], out))
        files = sorted(out.glob("part-*.parquet"))
        labels = np.concatenate(
            [parquet.ParquetFile(file).read()["label"].to_numpy() for file in files]
        )
        print(
            f"{os.cpu_count()} cores.\n\n| | pictures | s | pictures/s |\n| --- | --- | --- | --- |"
        )
        for what, count, seconds in rows:
            print(f"| {what} | {count:,} | {seconds:.1f} | {count / seconds:,.0f} |")
        print(
            f"\nOf {len(labels):,} answers {100 * np.mean(labels != truth):.2f} % are wrong. "
            f"Largest worker: {peak.mib['worker']:.0f} MiB; driver: {peak.mib['driver']:.0f} MiB."
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
