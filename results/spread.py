"""How much of a result is luck, and how much is rounding?

    LENET_KERAS_DATA=... python results/spread.py         # trains what is not there yet
    python results/spread.py --table                      # only prints results/spread/README.md

Ten whole runs of the tutorial: five seeds, and five from the tutorial's own seed in which
every initial weight is moved to a neighbouring float32 (up or down, by chance). Each run has
one thread, so that a run is the same bits whatever else the machine does; as many go on at
once as there are cores. A run takes about half an hour.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent / "spread"
SEEDS = (23455, 1, 2, 3, 4)
NUDGES = (1, 2, 3, 4, 5)
RUNS = [f"seed-{seed}" for seed in SEEDS] + [f"rounding-{nudge}" for nudge in NUDGES]


def train_one(name: str) -> None:
    """One run, in this process."""
    from dataclasses import replace

    import numpy as np

    from lenet_keras import TUTORIAL, load_mnist, training

    kind, number = name.split("-")
    recipe = replace(TUTORIAL, seed=int(number)) if kind == "seed" else TUTORIAL
    if kind == "rounding":
        initial_model = training.initial_model

        def nudged(recipe):
            model, rng = initial_model(recipe), np.random.default_rng(int(number))
            weights = [w.astype(np.float32) for w in model.get_weights()]
            signs = [rng.choice([-np.inf, np.inf], w.shape).astype(np.float32) for w in weights]
            # zeros stay: their neighbours are 1e-45, which the first step swallows
            model.set_weights([np.where(w, np.nextafter(w, s), w) for w, s in zip(weights, signs)])
            return model

        training.initial_model = nudged
    training.train(recipe, load_mnist(os.environ.get("LENET_KERAS_DATA", "mnist")), HERE / name)
    (HERE / name / "model.keras").unlink()  # 1.7 MB that nobody asks for again


def main() -> None:
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

    def worker(name: str) -> None:
        if (HERE / name / "run.json").exists():
            return
        command = [sys.executable, __file__, "--one", name]
        subprocess.run(command, env=os.environ | threads, stdout=subprocess.DEVNULL, check=True)
        print(name, json.loads((HERE / name / "run.json").read_text())["result"], flush=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(worker, RUNS))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        train_one(sys.argv[2])
    else:
        main()
