"""What a sweep's TOML file says: which recipes to try, each made and checked before anything runs.

recipe = "fast"          # what the fields change; "tutorial" if left out
data = "mnist"           # what load_mnist takes; or a list of sources, to try each
search = "random"        # or "grid", every combination, if left out
trials = 20              # of a random search
seed = 0                 # of what it draws; another number, other trials
scheduler = "asha"       # stop the worse ones early; if left out, all run to their end
threads = 1              # of a trial; as many trials run at once as that leaves room for

[fields]                 # any of Recipe's, by name; those of its distortion after a dot
learning_rate = { low = 1e-3, high = 1e-1, log = true }
n_hidden = [100, 500]
"distortion.rotation" = [0.0, 10.0]
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lenet_keras.data import Mnist
from lenet_keras.errors import LenetKerasError, in_short
from lenet_keras.recipe import RECIPES, Recipe, RecipeError, for_digits, is_real

__all__ = ["Sweep", "SweepError", "read_sweep", "recipe_of"]

MOST_TRIALS = 10_000
LARGEST = 1 << 20  # bytes of TOML: nobody writes more by hand


class SweepError(LenetKerasError):
    """A sweep's file is invalid, or its folder holds another sweep."""


@dataclass(frozen=True)
class Sweep:
    """What a sweep's file says.

    trials: what each changes, field name to value (and "data"), in the order they are begun.
    data: what the others learn.
    text: the file itself.
    """

    recipe: Recipe
    trials: tuple[dict, ...]
    data: str
    asha: bool
    threads: int
    text: str


def read_sweep(path: str | os.PathLike[str]) -> Sweep:
    """Read a sweep's file; random values are drawn here, the same ones every time.

    Every trial's recipe is made here too, so that an invalid one is refused before anything runs.

    Returns:
        The sweep, its trials spelled out.

    Raises:
        SweepError: it cannot be read, or asks for an invalid setting, field or value.
    """
    path = Path(path)
    settings, text = _read_toml(path)
    fields = settings.pop("fields", {})
    try:
        asked = _Settings(**settings)
    except TypeError:
        known = [field.name for field in dataclasses.fields(_Settings)] + ["fields"]
        unknown = next(name for name in settings if name not in known)
        raise SweepError(
            f"{path}: there is no setting {in_short(repr(unknown))}: there are {', '.join(known)}."
        ) from None
    except SweepError as error:
        raise SweepError(f"{path}: {error}") from None
    if not isinstance(fields, dict):
        raise SweepError(f"{path}: fields must be a table.")
    if len(asked.sources) > 1:
        fields = {"data": asked.sources, **fields}
    recipe = RECIPES[asked.recipe]
    try:
        for name, values in fields.items():
            _check_values(name, values, recipe, asked.search)
        if asked.search == "random":
            trials = _random(fields, asked.trials, asked.seed)
        else:
            trials = _grid(fields)
        for changes in trials:
            recipe.changed(_of_recipe(changes))
    except (SweepError, RecipeError) as error:
        raise SweepError(f"{path}: {error}") from None
    asha = asked.scheduler == "asha"
    return Sweep(recipe, tuple(trials), asked.sources[0], asha, asked.threads, text)


def _read_toml(path: Path) -> tuple[dict[str, Any], str]:
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise SweepError(f"{path} is too large for a sweep.")
        text = content.decode().replace("\r\n", "\n")
        return tomllib.loads(text), text
    except OSError as error:
        raise SweepError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise SweepError(f"{path} is not valid TOML: {in_short(error)}.") from None


@dataclass(frozen=True)
class _Settings:
    """A sweep's file but for its fields."""

    recipe: str = "tutorial"
    data: Any = "auto"  # or a list of sources
    search: str = "grid"
    trials: Any = None
    seed: int = 0
    scheduler: str = ""
    threads: int = 1

    @property
    def sources(self) -> list[Any]:
        return self.data if isinstance(self.data, list) else [self.data]

    def __post_init__(self) -> None:
        valid = {
            "recipe": (self.recipe in list(RECIPES), f"one of {', '.join(RECIPES)}"),
            "data": (
                bool(self.sources) and all(isinstance(source, str) for source in self.sources),
                "what --data takes, or a list of that",
            ),
            "search": (self.search in ("grid", "random"), '"grid" or "random"'),
            "scheduler": (self.scheduler in ("", "asha"), '"asha" or left out'),
            "threads": (_is_count(self.threads), "a whole number from 1 to 1,000"),
            "seed": (
                type(self.seed) is int and abs(self.seed) < 2**63,
                "a whole number of 64 bits",
            ),
            "trials": (
                _is_count(self.trials) if self.search == "random" else self.trials is None,
                "a whole number from 1 to 1,000 in a random search, and left out in a grid",
            ),
        }
        for name, (is_valid, expected) in valid.items():
            if not is_valid:
                raise SweepError(f"{name} must be {expected}.")


def _is_count(value: object) -> bool:
    return type(value) is int and 1 <= value <= 1000


def _check_values(name: str, values: Any, recipe: Recipe, search: str) -> None:
    """Refuse what is neither a list of valid values nor, in a random search, a range of them."""
    if name in ("name", "distortion"):
        raise SweepError(f"{name} cannot be swept: only fields with a value of their own can.")
    if isinstance(values, list) and values:
        samples = values
    elif isinstance(values, dict):
        low: Any = values.get("low")
        high: Any = values.get("high")
        log = values.get("log", False)
        known = set(values) <= {"low", "high", "log"} and isinstance(log, bool)
        if not (known and is_real(low) and is_real(high) and low < high) or (log and low <= 0):
            raise SweepError(
                f"{name} = {{ low = ..., high = ... }} needs two numbers, the lower one first, "
                "above 0 where log = true."
            )
        if search == "grid":
            raise SweepError(f'{name} is a range, which needs search = "random".')
        samples = [low, high]
    else:
        raise SweepError(f"{name} needs a list of values, or a table of low and high.")
    for value in samples:
        recipe.changed(_of_recipe({name: value}))


def _of_recipe(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in changes.items() if name != "data"}


def _grid(fields: dict) -> list[dict]:
    if math.prod(map(len, fields.values())) > MOST_TRIALS:
        raise SweepError(f"it asks for more than {MOST_TRIALS:,} trials.")
    return [dict(zip(fields, values)) for values in itertools.product(*fields.values())]


def _random(fields: dict, n: int, seed: int) -> list[dict]:
    """n trials, or fewer where the lists are short: none is tried twice."""
    rng = random.Random(seed)

    def draw(values: list | dict) -> object:
        if isinstance(values, list):
            return rng.choice(values)
        low, high = values["low"], values["high"]
        if values.get("log"):
            value = math.exp(rng.uniform(math.log(low), math.log(high)))
        else:
            value = rng.uniform(low, high)
        whole = isinstance(low, int) and isinstance(high, int)
        # a search cannot tell more than four digits apart
        return min(high, max(low, round(value))) if whole else float(f"{value:.4g}")

    drawn = ({name: draw(values) for name, values in fields.items()} for _ in range(20 * n))
    return list({json.dumps(trial): trial for trial in drawn}.values())[:n]


def recipe_of(base: Recipe, changes: Mapping[str, Any], mnist: Mnist) -> Recipe:
    """A trial's recipe: the sweep's, fitted to the data, with the trial's changes."""
    fitted = for_digits(base) if mnist.name == "digits" else base
    return fitted.changed(_of_recipe(changes))
