"""Lay our first ten epochs beside what the original Theano code printed.

    python results/compare.py results/tutorial   # a run that was trained before
    python results/compare.py                    # trains the ten epochs now, on MNIST

Ends with 1 if any error is further than 0.10 points (10 digits of 10,000) from Theano's.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path

THEANO = Path(__file__).parent / "theano_first_10_epochs.csv"
LIMIT = 0.10


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
        from lenet_keras import load_mnist, train
        from lenet_keras.recipe import RECIPES

        run = tempfile.mkdtemp(prefix="lenet-keras-")
        train(RECIPES["first"], load_mnist(), run)
    worst = 0.0
    print("\n         validation error %      test error %")
    print("epoch     Theano     ours     Theano     ours")
    for epoch, theano, ours in compare(Path(run, "history.csv")):
        print(f"{epoch:5} {theano[0]:10.2f} {ours[0]:8.2f} {theano[1]:10.2f} {ours[1]:8.2f}")
        worst = max(worst, *(abs(a - b) for a, b in zip(theano, ours)))
    print(f"Largest difference {worst:.2f} points; {LIMIT:.2f} are allowed.")
    return int(worst > LIMIT + 1e-9)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
