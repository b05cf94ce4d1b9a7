"""What a person sees of a sweep: a bar for every trial that runs, a line for every one that ends.

Imported once Ray is there.
"""

from __future__ import annotations

import math
from typing import Any

from ray import tune
from rich.progress import Progress

__all__ = ["Board"]


class Board(tune.Callback):
    """A callback of Tune's.

    Args:
        names: of the trials, by their numbers.
        epochs: how many each has.
        bars: an entered ``progress.bars()``.
    """

    def __init__(self, names: list[str], epochs: list[int], bars: Progress) -> None:
        self.names, self.epochs, self.bars = names, epochs, bars
        self.tasks: dict[int, Any] = {}
        self.how: dict[int, str] = {}
        self.ended = 0

    def __getstate__(self) -> dict[str, Any]:
        return {"ended": self.ended}  # Tune keeps its callbacks on disk, where bars cannot go

    def on_trial_result(
        self, iteration: int, trials: list, trial: Any, result: dict, **_: Any
    ) -> None:
        number, epoch = trial.config["number"], result["epoch"]
        error = result["validation_error"]
        if math.isinf(error):
            self.how[number] = "failed"
            return
        note = f"epoch {epoch} of {self.epochs[number]}, validation error {error:.2f} %"
        self.how[number] = note
        if number not in self.tasks:
            total = self.epochs[number]
            self.tasks[number] = self.bars.add_task(self.names[number], total=total, note="")
        self.bars.update(self.tasks[number], completed=epoch, note=note)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **_: Any) -> None:
        number = trial.config["number"]
        if number in self.tasks:
            self.bars.remove_task(self.tasks.pop(number))
        self.ended += 1
        how = self.how.get(number, "failed")
        print(f"[{self.ended}/{len(trials)}] {self.names[number]}: {how}", flush=True)

    on_trial_error = on_trial_complete
