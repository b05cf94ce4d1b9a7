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
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from peers import CLOSER, PEERS, Peer, has
from processor import measured_on
from speed import TRAINING_FLOP, product_rate, seconds
from table import header, row

from lenet_keras import load_mnist

N_DIGITS = 50_000


def main(turns: int = 3) -> None:
    print(measured_on())
    names = [name for name in ("keras", "tensorflow", "jax", "torch") if has(name)]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in names]
    print(f"Python {platform.python_version()}, {', '.join(versions)}.\n")
    with tempfile.TemporaryDirectory() as folder:
        digits = Path(folder, "train.npz")
        train = load_mnist("mnist").train
        np.savez(digits, images=train.images, labels=train.labels)
        take_turns(digits, turns)
        sizes = (50, 100, 500, 1000, 5000)
        print_closer("minibatches of", sizes, lambda peer, n: peer.train(digits, batch_size=n))
        counts = [n for n in (1, 2, 4, 8, 16) if n <= (os.cpu_count() or 1)]
        print_closer("threads", counts, lambda peer, n: peer.train(digits, threads=n))
    command = [sys.executable, str(Path(__file__).with_name("first_minibatches.py"))]
    starts = [seconds(lambda: subprocess.run(command, check=True)) for _ in range(3)]
    print(
        "\nFrom the start of the process to the end of the first 10 minibatches, data on disk: "
        f"{statistics.median(starts):.1f} s."
    )


def take_turns(digits: Path, turns: int) -> None:
    """The first table: every installed peer in every turn, forward and backward by turns."""
    peers = [peer for peer in PEERS if peer.installed]
    epochs: dict[str, list[float]] = defaultdict(list)
    peaks: dict[str, float] = {}
    rates: list[float] = []
    matrix = np.random.default_rng(0).random((2048, 2048), np.float32)
    for turn in range(turns):
        for peer in peers[:: 1 if turn % 2 == 0 else -1]:
            print(f"turn {turn + 1}/{turns}: {peer.name}", file=sys.stderr)
            timed, peaks[peer.name] = peer.train(digits)
            epochs[peer.name] += timed
            rates.append(product_rate(lambda: matrix @ matrix, len(matrix)) / 1e9)
    sgemm = statistics.median(rates)
    print(
        "sgemm (2048x2048, NumPy's OpenBLAS), measured between the turns: median "
        f"{sgemm:.0f} GFLOP/s, from {min(rates):.0f} to {max(rates):.0f}.\n"
    )
    print(
        header(
            "minibatches of 500",
            *("s per epoch, median", "fastest", "slowest", "digits/s", "of sgemm", "peak memory"),
        )
    )
    for peer in peers:
        some = epochs[peer.name]
        median = statistics.median(some)
        share = N_DIGITS * TRAINING_FLOP / median / 1e9 / sgemm
        print(
            row(
                peer.name,
                *(f"{s:.2f}" for s in (median, min(some), max(some))),
                f"{N_DIGITS / median:,.0f}",
                f"{100 * share:.0f} %",
                f"{peaks[peer.name]:.0f} MiB",
            )
        )


def print_closer(
    what: str, values: Sequence[int], train: Callable[[Peer, int], tuple[list[float], float]]
) -> None:
    """A table of some peers' fastest epochs, a column for each value."""
    print()
    print(header(f"s per epoch, {what}", *(f"{n:,}" for n in values)))
    for peer in CLOSER:
        if peer.installed:
            print(row(peer.name, *(f"{min(train(peer, n)[0]):.2f}" for n in values)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
