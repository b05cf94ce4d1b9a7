"""Lay a run on MNIST beside what the original Theano code printed and the tutorial published.

    python results/compare.py results/tutorial   # a run that was trained before
    python results/compare.py                    # trains the first ten epochs now

Ends with 1 if one of the first ten epochs is further than 0.10 points (10 digits of 10,000)
from Theano's, or the result of a whole run further than 0.05 points from the published one.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

THEANO = Path(__file__).parent / "theano_first_10_epochs.csv"
LIMIT = 0.10
PUBLISHED = {"best_validation_error": 0.91, "test_error": 0.92}
PUBLISHED_LIMIT = 0.05


def compare(history: Path, epochs: int = 10) -> list[tuple[int, list[float], list[float]]]:
    """Per epoch: its number, Theano's (validation, test) errors and ours, in percent."""
    with open(THEANO) as theirs, open(history) as ours:
        return [
            (
                int(theano["epoch"]),
                [float(theano["valid_error_pct"]), float(theano["test_error_pct"])],
                [float(row["validation_error"]), float(row["test_error"])],
            )
            for theano, row in list(zip(csv.DictReader(theirs), csv.DictReader(ours)))[:epochs]
        ]


def main(run: str | None = None) -> int:
    if run is None:
        from lenet_keras import TUTORIAL, load_mnist, train

        run = tempfile.mkdtemp(prefix="lenet-keras-")
        train(replace(TUTORIAL, n_epochs=10), load_mnist("mnist"), run)
    record = json.loads(Path(run, "run.json").read_text(encoding="utf-8"))
    if record["data"]["name"] != "mnist":
        print("This run is not on MNIST: there is nothing to compare it with.", file=sys.stderr)
        return 1
    worst = 0.0
    print("\n         validation error %      test error %")
    print("epoch     Theano     ours     Theano     ours")
    for epoch, theano, ours in compare(Path(run, "history.csv")):
        print(f"{epoch:5} {theano[0]:10.2f} {ours[0]:8.2f} {theano[1]:10.2f} {ours[1]:8.2f}")
        worst = max(worst, *(abs(a - b) for a, b in zip(theano, ours)))
    print(f"Largest difference {worst:.2f} points; {LIMIT:.2f} are allowed.")
    failed = worst > LIMIT + 1e-9
    if record["epochs"] == 200:
        print(f"\nAll 200 epochs; {PUBLISHED_LIMIT:.2f} points are allowed:")
        for name, published in PUBLISHED.items():
            ours = record["result"][name]
            print(f"{name:22} published {published:.2f} %, ours {ours:.2f} %")
            failed |= abs(ours - published) > PUBLISHED_LIMIT + 1e-9
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
