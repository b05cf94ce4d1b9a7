"""Every hyperparameter of a training, in one visible place: plain values, nothing is run."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lenet_keras.errors import LenetKerasError, in_short

__all__ = [
    "BEST",
    "FAST",
    "MODERN",
    "RECIPES",
    "TUTORIAL",
    "Distortion",
    "Recipe",
    "RecipeError",
    "for_digits",
]

LARGEST = 2**31 - 1  # of a whole number: what an int32 counter can reach
LARGEST_SEED = 2**32 - 1  # of numpy.random.RandomState


class RecipeError(LenetKerasError):
    """A recipe has an unknown field or an invalid value."""


@dataclass(frozen=True)
class Distortion:
    """How far a digit may be moved and bent while training. Each is drawn evenly from ± this.

    Attributes:
        rotation: degrees.
        scale: natural logarithm, each axis its own.
        shear: pixels per pixel.
        shift: pixels.
        elastic: pixels, the standard deviation of the smooth displacements (normal).
        stroke: how far a pixel moves toward the largest (thicker pen) or smallest (thinner) of
            the 3x3 around it, 0 to 1.
        faint: the share of the ink that may be missing, drawn from 0 to this, 0 to 1.

    Raises:
        RecipeError: a value is negative, not finite, or above 1 for stroke and faint.
    """

    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    elastic: float = 0.0
    stroke: float = 0.0
    faint: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            most = 1 if name in ("stroke", "faint") else math.inf
            if not is_real(value) or not 0 <= value <= most:
                limit = "from 0 to 1" if most == 1 else "of 0 or more"
                raise RecipeError(_invalid(f"distortion.{name}", f"a number {limit}", value))


@dataclass(frozen=True)
class Recipe:
    """What ``evaluate_lenet5`` sets, under the names it uses, and what we added.

    Attributes:
        nkerns, n_hidden: the network's sizes.
        activation: of feature maps and hidden units, "tanh" or "relu".
        dropout: the share of flattened features, and of hidden units, that a training step drops.
        distortion: how each digit is changed every time it is seen, or None.
        optimizer: "sgd", plain stochastic gradient descent, or "adam" (Kingma and Ba 2014).
        learning_rate: the optimizer's, or its peak if a schedule changes it.
        schedule: "constant", or "cosine": up from 0 in the first epoch, then down to 0 at the end
            of the last along a cosine (Loshchilov and Hutter 2016).
        weight_decay: Adam's steps also shrink every weight, by this much of the learning rate
            (AdamW, Loshchilov and Hutter 2017).
        fading: in this share of the epochs, the last ones, distortions fade (all but ``faint``),
            evenly to 3/10 of what they were: training ends on digits nearly as they are.
        batch_size: digits in a minibatch.
        shuffle: take the digits in a new order in every epoch; if not, in the order of the data.
        n_epochs: the maximal number of passes over the training digits.
        averaged: score and keep the mean of the weights at this many of the latest validations,
            usually one an epoch (Izmailov and others 2018, "Averaging weights leads to wider
            optima"); 1 keeps the weights themselves.
        patience: look at this many minibatches regardless; at least 2, because a validation is due
            every ``patience / 2`` minibatches or more often.
        patience_increase: wait this much longer when a new best is found.
        improvement_threshold: a new best extends patience if it is below this much of the old one.
        seed: of the initial weights and of all other randomness, 0 to 2^32 - 1.
        penned: so many digits of our own pen are learned beside the others (``penned.py``).
        others: so many pictures too that are no digit, each class with a probability of 1/10.
        precision: "float32"; "bfloat16" for Keras's mixed_bfloat16 policy; or "auto", bfloat16
            where the processor or the GPU computes in it, else float32.

    Raises:
        RecipeError: a value is invalid: of the wrong type, out of range, or not a known word.
    """

    name: str = "tutorial"
    nkerns: tuple[int, int] = (20, 50)
    n_hidden: int = 500
    activation: str = "tanh"
    dropout: float = 0.0
    distortion: Distortion | None = None
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    schedule: str = "constant"
    weight_decay: float = 0.0
    fading: float = 0.0
    batch_size: int = 500
    shuffle: bool = False
    n_epochs: int = 200
    averaged: int = 1
    patience: int = 10_000
    patience_increase: int = 2
    improvement_threshold: float = 0.995
    seed: int = 23455  # numpy.random.RandomState(23455) in evaluate_lenet5
    penned: int = 0
    others: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            self._require(name, getattr(self, name) in known, f"one of {', '.join(known)}")
        for name, least in LEAST.items():
            valid = _is_whole(getattr(self, name), least)
            self._require(name, valid, f"a whole number from {least} to {LARGEST:,}")
        two = isinstance(self.nkerns, tuple) and len(self.nkerns) == 2
        valid = two and all(_is_whole(kernels, 1) for kernels in self.nkerns)
        self._require("nkerns", valid, "two whole numbers of 1 or more")
        valid = is_real(self.dropout) and 0 <= self.dropout < 1
        self._require("dropout", valid, "a number from 0 to below 1")
        valid = is_real(self.learning_rate) and self.learning_rate > 0
        self._require("learning_rate", valid, "a number above 0")
        valid = is_real(self.weight_decay) and self.weight_decay >= 0
        self._require("weight_decay", valid, "a number of 0 or more")
        unused = self.weight_decay > 0 and self.optimizer != "adam"
        self._require("weight_decay", not unused, "0 with any optimizer but adam")
        valid = is_real(self.fading) and 0 <= self.fading <= 1
        self._require("fading", valid, "a number from 0 to 1")
        valid = is_real(self.improvement_threshold) and 0 < self.improvement_threshold <= 1
        self._require("improvement_threshold", valid, "a number above 0 and up to 1")
        valid = _is_whole(self.seed, 0, LARGEST_SEED)
        self._require("seed", valid, f"a whole number from 0 to {LARGEST_SEED:,}")
        valid = self.distortion is None or isinstance(self.distortion, Distortion)
        self._require("distortion", valid, "a Distortion or None")
        self._require("shuffle", isinstance(self.shuffle, bool), "True or False")
        self._require("name", isinstance(self.name, str), "a text")

    def _require(self, name: str, valid: bool, expected: str) -> None:
        if not valid:
            raise RecipeError(_invalid(name, expected, getattr(self, name)))

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON and TOML can hold it; ``from_dict`` is the inverse.

        What the tutorial does not have (dropout, a schedule and so on) is left out while it
        changes nothing, so a field added to ``Recipe`` later leaves older records as they are.
        """
        fields = dataclasses.asdict(self) | {"nkerns": list(self.nkerns)}
        return {k: v for k, v in fields.items() if k in ALWAYS or v != getattr(TUTORIAL, k)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Recipe:
        """The recipe with these fields; the others are the tutorial's.

        Args:
            fields: names to values, ``nkerns`` a list or tuple, ``distortion`` a mapping or None.

        Raises:
            RecipeError: there is no such field, or a value is invalid.
        """
        values = dict(_known(cls, fields))
        if isinstance(values.get("nkerns"), list):
            values["nkerns"] = tuple(values["nkerns"])
        if isinstance(values.get("distortion"), Mapping):
            values["distortion"] = Distortion(**_known(Distortion, values["distortion"]))
        return cls(**values)

    def changed(self, changes: Mapping[str, Any]) -> Recipe:
        """The same recipe with some fields changed, those of its distortion after a dot.

        >>> TUTORIAL.changed({"learning_rate": 0.05, "distortion.rotation": 10})

        Raises:
            RecipeError: there is no such field, or a value is invalid.
        """
        fields = self.to_dict()
        for name, value in changes.items():
            part, dot, inner = name.partition(".")
            if dot and part == "distortion":
                fields[part] = {**(fields.get(part) or {}), inner: value}
            else:
                fields[name] = value
        return Recipe.from_dict(fields)


def _known(kind: type, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    names = [field.name for field in dataclasses.fields(kind)]
    for name in fields:
        if name not in names:
            raise RecipeError(
                f"A {kind.__name__.lower()} has no field {in_short(repr(name))}: "
                f"its fields are {', '.join(names)}."
            )
    return fields


def is_real(value: object) -> bool:
    """A finite number: an int that fits a float, or a float; no bool."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def _is_whole(value: object, least: int, most: int = LARGEST) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _invalid(name: str, expected: str, value: object) -> str:
    return f"{name} must be {expected}, not {in_short(repr(value))}."


CHOICES = {
    "activation": ("tanh", "relu"),
    "optimizer": ("sgd", "adam"),
    "schedule": ("constant", "cosine"),
    "precision": ("float32", "bfloat16", "auto"),
}
LEAST = {
    "n_hidden": 1,
    "batch_size": 1,
    "n_epochs": 1,
    "averaged": 1,
    "patience": 2,
    "patience_increase": 1,
    "penned": 0,
    "others": 0,
}
# what every record says; a field that is not among them, only where it changes something
ALWAYS = (
    *("name", "nkerns", "n_hidden", "learning_rate", "batch_size", "n_epochs", "seed"),
    *("patience", "patience_increase", "improvement_threshold", "precision"),
)

TUTORIAL = Recipe()

# The same layer shapes, trained as one would today.
MODERN = Recipe(
    name="modern",
    activation="relu",
    distortion=Distortion(
        rotation=10, scale=0.12, shear=0.12, shift=1.5, elastic=0.8, stroke=0.3, faint=0.6
    ),
    dropout=0.3,
    optimizer="adam",
    learning_rate=4e-3,
    schedule="cosine",
    batch_size=250,
    shuffle=True,
    n_epochs=30,
    averaged=10,
    patience=1_000_000,  # the schedule says when it ends
    precision="auto",
)

# For more than MNIST: people elsewhere write other digits, and not all that has ink is one.
BEST = replace(
    MODERN,
    name="best",
    learning_rate=2e-3,
    weight_decay=0.05,
    fading=0.3,
    penned=20_000,
    others=6_000,
    n_epochs=40,
)

# Half of the gain in a small part of the time: little distortion, few epochs.
FAST = replace(
    MODERN,
    name="fast",
    distortion=Distortion(shift=1, elastic=0.5),
    dropout=0.2,
    n_epochs=4,
    averaged=1,
    precision="float32",
)

# those that `lenet-keras train` knows, and what its --help says about each
ABOUT = {
    TUTORIAL: "as the tutorial did it, 200 epochs (the default)",
    FAST: "a better network in half a minute",
    MODERN: "with today's methods, on MNIST alone",
    BEST: "the same for digits from elsewhere, and unsure of what is no digit",
}
RECIPES = {recipe.name: recipe for recipe in ABOUT}


def for_digits(recipe: Recipe) -> Recipe:
    """The same recipe for the embedded digits: 1,797 are few, so smaller minibatches, 20 epochs."""
    return replace(recipe, name=f"{recipe.name} on digits", batch_size=10, n_epochs=20)
