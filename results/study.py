"""Many trainings of one question, a run folder each, and a table of them.

    LENET_KERAS_DATA=... python results/study.py spread|modern|ablation|fast|best

Trains under results/<study>/ what is not there yet, or goes on with what was interrupted, then
writes results/<study>/README.md.

spread    Is a difference between two runs luck, or rounding? Ten whole runs of the tutorial:
          five seeds, and five of its own seed with every initial weight moved to a neighboring
          float32, up or down at random. About half an hour each.
modern    The modern recipe at five seeds. Of the models only the one with the least
          validation error is kept.
ablation  The modern recipe without one of its ingredients, three seeds each, beside modern.
best      The best recipe at five seeds. One model is kept, chosen as in modern.
fast      The fast recipe at five seeds, one after the other with the machine to itself:
          its times count.

All but fast give each run one thread, so that its bits depend on nothing else that goes on,
and have as many runs at once as there are cores.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from lenet_keras import load_mnist, train
from lenet_keras.recipe import BEST, FAST, MODERN, TUTORIAL, Recipe
from lenet_keras.score import wilson_interval
from lenet_keras.training import initial_model

HERE = Path(__file__).parent
SEEDS = (TUTORIAL.seed, 1, 2, 3, 4)
# What the modern recipe becomes without an ingredient.
WITHOUT = {
    "no distortion": replace(MODERN, distortion=None),
    "no elastic distortion": replace(MODERN, distortion=replace(MODERN.distortion, elastic=0.0)),
    "tanh": replace(MODERN, activation="tanh"),
    "no dropout": replace(MODERN, dropout=0.0),
    "no averaging": replace(MODERN, averaged=1),
    "constant learning rate": replace(MODERN, schedule="constant", learning_rate=1e-3),
    "plain gradient descent": replace(MODERN, optimizer="sgd", learning_rate=0.1),
}


def runs_of(study: str) -> dict[str, Recipe]:
    """Folder name to recipe."""
    if study == "spread":
        nudged = {f"rounding-{i}": TUTORIAL for i in range(1, 6)}
        return {f"seed-{seed}": replace(TUTORIAL, seed=seed) for seed in SEEDS} | nudged
    if study == "ablation":
        return {
            f"{name.replace(' ', '-')}-{seed}": replace(recipe, name=name, seed=seed)
            for name, recipe in WITHOUT.items()
            for seed in SEEDS[:3]
        }
    recipe = {"modern": MODERN, "fast": FAST, "best": BEST}[study]
    return {f"seed-{seed}": replace(recipe, seed=seed) for seed in SEEDS}


def one(study: str, name: str) -> None:
    """Train one of the runs, in this process."""
    recipe, weights = runs_of(study)[name], None
    if name.startswith("rounding"):
        rng = np.random.default_rng(int(name[-1]))
        weights = initial_model(recipe).get_weights()
        nudged(weights, rng)  # the recorded runs began with the second draw
        weights = nudged(weights, rng)
    folder = HERE / study / name
    train(recipe, load_mnist("mnist"), folder, resume=True, initial_weights=weights)


def nudged(weights: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Every weight moved to a neighboring float32, up or down at random."""
    signs = [rng.choice([-np.inf, np.inf], w.shape).astype(np.float32) for w in weights]
    # zeros stay: their neighbors are 1e-45, which the first step swallows
    return [np.where(w, np.nextafter(w, s), w) for w, s in zip(weights, signs)]


def results(study: str) -> dict[str, dict]:
    """Run name to its run.json, of the runs that are finished."""
    paths = {name: HERE / study / name / "run.json" for name in runs_of(study)}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def mean_and_sd(values: list[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{deviation} %"


def table(study: str) -> str:
    """The study's README.md."""
    records, what = results(study), ("best_validation_error", "test_error")
    lines = [
        f"# {study}\n",
        f"`python results/study.py {study}` made this; errors in percent of 10,000 digits, the "
        "test error where the validation error was least.\n",
        "| run | validation error | at epoch | test error | seconds |",
        "| --- | --- | --- | --- | --- |",
    ]
    groups: dict[str, list[dict]] = {}
    for name, record in records.items():
        valid, test = (record["result"][key] for key in what)
        with open(HERE / study / name / "history.csv") as file:
            history = list(csv.DictReader(file))
        epoch = min(history, key=lambda row: float(row["validation_error"]))["epoch"]
        seconds = record["wall_seconds"]
        lines.append(f"| {name} | {valid:.2f} | {epoch} | {test:.2f} | {seconds:.0f} |")
        groups.setdefault(name.rpartition("-")[0].replace("-", " "), []).append(record)
    lines += [
        "\n| mean ± standard deviation | runs | validation error | test error | | median seconds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for group, some in groups.items():
        valid, test = ([record["result"][key] for record in some] for key in what)
        seconds = statistics.median(record["wall_seconds"] for record in some)
        low, high = wilson_interval(round(statistics.mean(test) * 100), 10_000)
        lines.append(
            f"| {group} | {len(some)} | {mean_and_sd(valid)} | {mean_and_sd(test)} "
            f"| {low:.2f} to {high:.2f} | {seconds:.0f} |"
        )
    lines.append(
        "\nThe column without a name is where, with 95 % confidence, the error on all such digits "
        "lies, if the mean test error is what 10,000 of them show (Wilson)."
    )
    missing = [name for name in runs_of(study) if name not in records]
    if missing:
        lines.append(
            f"\nNot trained yet: {', '.join(missing)}. `python results/study.py {study}` goes on."
        )
    return "\n".join(lines) + "\n"


def keep_the_best_model(study: str) -> None:
    """Of a study's model.keras all but the one of the least validation error go."""
    done = results(study)
    best = min(done, key=lambda name: done[name]["result"]["best_validation_error"])
    for name in done:
        if study not in ("modern", "best") or name != best:
            (HERE / study / name / "model.keras").unlink(missing_ok=True)


def main(study: str) -> None:
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    at_once = os.cpu_count()
    if study == "fast":
        threads, at_once = {}, 1

    def in_a_process(name: str) -> None:
        if (HERE / study / name / "run.json").exists():
            return
        command = [sys.executable, __file__, study, name]
        subprocess.run(command, env=os.environ | threads, stdout=subprocess.DEVNULL, check=True)
        print(name, results(study)[name]["result"], flush=True)

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(in_a_process, runs_of(study)))
    keep_the_best_model(study)
    (HERE / study / "README.md").write_text(table(study))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        one(*sys.argv[1:])
    else:
        main(*sys.argv[1:])
