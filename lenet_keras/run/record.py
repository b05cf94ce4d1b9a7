"""run.json: everything about a finished training."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from lenet_keras.data import Mnist
from lenet_keras.errors import LenetKerasError, in_short
from lenet_keras.recipe import Recipe, RecipeError
from lenet_keras.storage.files import whole_file

__all__ = [
    "Data",
    "Record",
    "Result",
    "RunError",
    "frameworks",
    "hardware",
    "load_record",
    "versions",
]


class RunError(LenetKerasError):
    """A run folder is missing, incomplete, or holds another training."""


@dataclass(frozen=True)
class Data:
    """Which digits were learned: name, source and digest as ``Mnist`` has them, and how many."""

    name: str
    source: str
    digest: str
    train: int
    valid: int
    test: int

    @classmethod
    def of(cls, mnist: Mnist) -> Data:
        sizes = (len(split.labels) for split in (mnist.train, mnist.valid, mnist.test))
        return cls(mnist.name, mnist.source, mnist.digest, *sizes)


@dataclass(frozen=True)
class Result:
    """The best validation error, its minibatch (from 1), the test error there; in percent."""

    best_validation_error: float
    best_iteration: int
    test_error: float


@dataclass(frozen=True)
class Record:
    """What run.json says.

    versions, hardware: of what trained it; ``versions["backend"]`` is Keras's.
    devices: how many shared each minibatch.
    wall_seconds: of training, validations included, without the time it was interrupted.
    epochs, iterations: how many were trained, the last begun epoch included.
    """

    recipe: Recipe
    data: Data
    versions: dict[str, str]
    hardware: dict[str, Any]
    devices: int
    wall_seconds: float
    epochs: int
    iterations: int
    stopped_by_patience: bool
    result: Result

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        fields = dataclasses.asdict(self) | {"recipe": self.recipe.to_dict()}
        with whole_file(path) as partial:
            partial.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def load_record(run_dir: str | os.PathLike[str]) -> Record:
    """What a finished run's run.json says.

    Raises:
        RunError: there is none, or it cannot be read.
    """
    path = Path(run_dir) / "run.json"
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        recipe = Recipe.from_dict(fields["recipe"])
        parts = {"data": _typed(Data, fields["data"]), "result": _typed(Result, fields["result"])}
        return _typed(Record, fields | parts | {"recipe": recipe})
    except OSError:
        raise RunError(f"There is no {path}: name the folder of a finished run.") from None
    except KeyError as error:
        raise RunError(f"{path} is not a run's record: it has no {error}.") from None
    except (ValueError, TypeError, AttributeError, RecursionError, RecipeError) as error:
        raise RunError(f"{path} cannot be read as a run's record ({in_short(error)}).") from None


def _typed(kind: Any, values: dict[str, Any]) -> Any:
    """A dataclass from its fields, which must all be there and of the right type."""
    simple: dict[str, Any] = {"str": str, "int": int, "float": (int, float), "bool": bool}
    chosen = {field.name: values[field.name] for field in dataclasses.fields(kind)}
    for field in dataclasses.fields(kind):
        expected = simple.get(str(field.type), dict if "dict" in str(field.type) else object)
        if not isinstance(chosen[field.name], expected):
            raise TypeError(f"its {field.name} is {in_short(repr(chosen[field.name]))}")
    return kind(**chosen)


def versions() -> dict[str, str]:
    """Of Python, this package, Keras, its backend (under ``backend``) and NumPy."""
    backend = keras.backend.backend()
    found = {"python": platform.python_version(), "backend": backend}
    for name in ("lenet-keras", "keras", backend, "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # tensorflow-cpu, say
            found[name] = importlib.metadata.version(name)
    return found


def frameworks() -> dict[str, str]:
    """Of Keras and its backend alone: they decide about the bits."""
    found = versions()
    return {name: found[name] for name in ("keras", found["backend"]) if name in found}


def hardware() -> dict[str, Any]:
    """The processor's name, its cores, and the devices that Keras sees."""
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line for line in lines if line.startswith("model name")).split(": ")[1]
    devices = []
    with contextlib.suppress(AttributeError):  # Keras on PyTorch lists none
        devices = [str(device) for device in keras.distribution.list_devices()]
    return {"cpu": cpu, "cores": os.cpu_count(), "devices": devices}
