"""Where a training stands after an epoch, in one file, so that it can go on after a bad day.

All that the rest of the training depends on is in it, to the bit: the weights, the optimizer's
moments, the state of every chance, the weights that are averaged, the best ones, and the
validations so far, from which patience follows.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lenet_keras.errors import LenetKerasError, in_short
from lenet_keras.files import whole_file
from lenet_keras.patience import Validation

__all__ = ["Checkpoint", "CheckpointError", "variables_of"]


class CheckpointError(LenetKerasError):
    """A training cannot go on from what its folder holds."""


@dataclass(frozen=True)
class Checkpoint:
    """A training after a whole number of epochs.

    of: which training, the recipe and the data's digest; another cannot go on from here.
    history: every validation so far, and the seconds since training began.
    variables: of the learner and of its optimizer, in their order.
    latest: the weights at each of the validations that are averaged, the newest last.
    best: the weights of the best validation.
    """

    of: dict
    history: list[tuple[Validation, float]]
    variables: list[np.ndarray]
    latest: list[list[np.ndarray]]
    best: list[np.ndarray]

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        history = [[*dataclasses.astuple(validation), s] for validation, s in self.history]
        facts = {"of": self.of, "history": history, "latest": len(self.latest)}
        arrays: dict[str, Any] = {"facts": np.array(json.dumps(facts))}
        groups = {"variable": self.variables, "best": self.best}
        groups |= {f"latest {age}": weights for age, weights in enumerate(self.latest)}
        for group, values in groups.items():
            arrays |= {f"{group}: {i}": value for i, value in enumerate(values)}
        with whole_file(path) as partial, open(partial, "wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read it.

        Raises:
            CheckpointError: it cannot be read.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            facts = json.loads(str(arrays["facts"]))
            history = [(Validation(*values), seconds) for *values, seconds in facts["history"]]
        except Exception as error:  # a damaged archive can raise anything
            raise CheckpointError(
                f"{path} cannot be read ({in_short(error)}): remove it, and training starts anew."
            ) from None

        def group(name: str) -> list[np.ndarray]:
            return [array for key, array in arrays.items() if key.startswith(f"{name}: ")]

        latest = [group(f"latest {age}") for age in range(facts["latest"])]
        return cls(facts["of"], history, group("variable"), latest, group("best"))


def variables_of(learner: keras.Model) -> list[keras.Variable]:
    """All that training changes: weights, the optimizer's moments and steps, states of chance."""
    learner.optimizer.build(learner.trainable_variables)
    return [*learner.variables, *learner.optimizer.variables]
