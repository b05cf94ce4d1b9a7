"""What a person reads while a network learns: the tutorial's report, history.csv, a bar."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from pathlib import Path

import keras

from lenet_keras.patience import PatienceStopping, Validation
from lenet_keras.progress import Advance
from lenet_keras.storage.files import whole_file

__all__ = ["Bar", "History", "percent", "report"]

COLUMNS = ("epoch", "iteration", "cost", "validation_error", "test_error", "seconds")


def percent(fraction: float) -> float:
    """As files have it: an error is a whole number of digits, and six decimals tell which."""
    return round(100 * fraction, 6)


def report(validation: Validation) -> str:
    """The tutorial's lines about a validation, a second one at a new best."""
    minibatch = f"{validation.minibatch_index}/{validation.n_train_batches}"
    where = f"epoch {validation.epoch}, minibatch {minibatch}"
    lines = [f"{where}, validation error {100 * validation.validation_error:f} %"]
    if validation.test_error is not None:
        lines += [f"     {where}, test error of best model {100 * validation.test_error:f} %"]
    return "\n".join(lines)


class History(keras.callbacks.Callback):
    """Prints the report of each validation and keeps it as a row of history.csv.

    Args:
        folder: where history.csv goes; it is whole after every validation.
        stopping: who validates, before this callback in ``fit``'s list.
        seconds: since training began, at each earlier validation.
    """

    def __init__(
        self, folder: Path, stopping: PatienceStopping, seconds: Sequence[float] = ()
    ) -> None:
        super().__init__()
        self.path = folder / "history.csv"
        self.stopping = stopping
        self.seconds = list(seconds)

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._began = time.perf_counter() - (self.seconds[-1] if self.seconds else 0.0)

    def elapsed(self) -> float:
        """Seconds of training so far, without the time it was interrupted."""
        return time.perf_counter() - self._began

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        for validation in self.stopping.validations[len(self.seconds) :]:
            print(report(validation), flush=True)
            self.seconds.append(self.elapsed())
            self._write()

    def _write(self) -> None:
        rows = map(_row, self.stopping.validations, self.seconds)
        with whole_file(self.path) as path, open(path, "w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])


def _row(v: Validation, seconds: float) -> tuple:
    test_error = None if v.test_error is None else percent(v.test_error)
    cost, error = round(v.cost, 8), percent(v.validation_error)
    return (v.epoch, v.iteration, cost, error, test_error, round(seconds, 2))


class Bar(keras.callbacks.Callback):
    """Moves a progress bar by the minibatches that are done."""

    def __init__(self, advance: Advance) -> None:
        super().__init__()
        self.advance = advance

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch, self._done = epoch, 0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        done = min(batch + 1, self.params["steps"])
        epoch, cost = self._epoch + 1, (logs or {})["loss"]
        note = f"epoch {epoch} of {self.params['epochs']}, cost {cost:.4f}"
        self.advance(done - self._done, note)
        self._done = done
