"""checkpoint.npz: where a training stands after an epoch, so that it can be resumed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lenet_keras.errors import LenetKerasError, in_short
from lenet_keras.patience import Validation
from lenet_keras.recipe import Recipe
from lenet_keras.storage.files import whole_file
from lenet_keras.training import State

__all__ = ["Checkpoint", "CheckpointError", "Checkpoints", "Identity"]


class CheckpointError(LenetKerasError):
    """A training cannot be resumed from what its folder holds."""


@dataclass(frozen=True)
class Identity:
    """Which training it is: only the same may be resumed.

    digest: of the data. backend: Keras's.
    """

    recipe: Recipe
    digest: str
    backend: str

    def differences(self, other: Identity) -> list[str]:
        """What differs, in words; nothing if it is the same training."""
        names = [field.name for field in dataclasses.fields(Recipe)]
        found = [n for n in names if getattr(self.recipe, n) != getattr(other.recipe, n)]
        found += ["the data"] * (self.digest != other.digest)
        return found + ["backend"] * (self.backend != other.backend)


@dataclass(frozen=True)
class Checkpoint:
    """A training after a whole number of epochs.

    seconds: since training began, at each of the state's validations.
    versions: of Keras and its backend, which decide about the bits.
    """

    identity: Identity
    state: State
    seconds: list[float]
    versions: dict[str, str]

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        facts = {
            "identity": dataclasses.asdict(self.identity)
            | {"recipe": self.identity.recipe.to_dict()},
            "validations": [dataclasses.astuple(each) for each in self.state.validations],
            "seconds": self.seconds,
            "latest": len(self.state.latest),
            "versions": self.versions,
        }
        arrays: dict[str, Any] = {"facts": np.array(json.dumps(facts))}
        groups = {"variable": self.state.variables, "best": self.state.best_weights or []}
        groups |= {f"latest {age}": weights for age, weights in enumerate(self.state.latest)}
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
            identity = facts["identity"] | {"recipe": Recipe.from_dict(facts["identity"]["recipe"])}

            def group(name: str) -> list[np.ndarray]:
                return [array for key, array in arrays.items() if key.startswith(f"{name}: ")]

            state = State(
                validations=[Validation(*values) for values in facts["validations"]],
                variables=group("variable"),
                latest=[group(f"latest {age}") for age in range(facts["latest"])],
                best_weights=group("best"),
            )
            return cls(Identity(**identity), state, facts["seconds"], facts["versions"])
        except Exception as error:  # a damaged archive can raise anything
            raise CheckpointError(
                f"{path} cannot be read ({in_short(error)}): remove it to train from the start."
            ) from None


class Checkpoints(keras.callbacks.Callback):
    """Saves a checkpoint after every epoch but the last, after which nothing takes long.

    Args:
        path: of the checkpoint.
        take: gives it.
    """

    def __init__(self, path: Path, take: Callable[[], Checkpoint]) -> None:
        super().__init__()
        self.path, self.take = path, take

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if epoch + 1 < self.params["epochs"] and not self.model.stop_training:
            self.take().save(self.path)
