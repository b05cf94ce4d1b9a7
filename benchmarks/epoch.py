"""One epoch of training, ours beside plain Keras, in alternating turns.

    LENET_KERAS_DATA=... python benchmarks/epoch.py [turns]

Every turn is a fresh process (our op determinism would otherwise stay on for the peers): one
epoch to warm up, then three timed. "plain" is ``model.fit`` with the same layers on
float arrays that were scaled before.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

PEERS = ("ours", "plain Keras")


def epochs(peer: str, n_timed: int = 3) -> list[float]:
    """Seconds of each timed epoch: train only, no validation."""
    import keras
    import numpy as np

    from lenet_keras import TUTORIAL, load_mnist
    from lenet_keras.training import compiled_model

    images, labels = load_mnist().train
    if peer == "ours":
        model = compiled_model(TUTORIAL)
    else:
        images = images[..., np.newaxis] / np.float32(256)
        model = keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                keras.layers.Conv2D(20, 5),
                keras.layers.MaxPooling2D(2),
                keras.layers.Activation("tanh"),
                keras.layers.Conv2D(50, 5),
                keras.layers.MaxPooling2D(2),
                keras.layers.Activation("tanh"),
                keras.layers.Flatten(),
                keras.layers.Dense(500, activation="tanh"),
                keras.layers.Dense(10),
            ]
        )
        model.compile(
            keras.optimizers.SGD(TUTORIAL.learning_rate),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
    seconds = []
    for _ in range(1 + n_timed):
        began = time.perf_counter()
        model.fit(images, labels, batch_size=TUTORIAL.batch_size, shuffle=False, verbose=0)
        seconds.append(time.perf_counter() - began)
    return seconds[1:]


def main(turns: int = 5) -> None:
    seconds: dict[str, list[float]] = {peer: [] for peer in PEERS}
    for turn in range(turns):
        for peer in PEERS if turn % 2 == 0 else reversed(PEERS):
            worker = [sys.executable, __file__, "--worker", peer]
            done = subprocess.run(worker, capture_output=True, text=True, check=True)
            seconds[peer] += map(float, done.stdout.split())
            print(f"turn {turn + 1}/{turns}: {peer}", file=sys.stderr)
    print(f"{os.cpu_count()} cores, {turns} turns of 3 epochs; seconds per epoch\n")
    print("|  | median | fastest | slowest |\n| --- | --- | --- | --- |")
    for peer, all_seconds in seconds.items():
        low, high, median = min(all_seconds), max(all_seconds), statistics.median(all_seconds)
        print(f"| {peer} | {median:.2f} | {low:.2f} | {high:.2f} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        print(*epochs(sys.argv[2]))
    else:
        main(*map(int, sys.argv[1:]))
