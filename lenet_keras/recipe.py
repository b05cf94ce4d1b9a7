"""Every hyperparameter of a training, in one visible place: plain values, nothing is run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lenet_keras.errors import LenetKerasError

__all__ = [
    "FAST",
    "MODERN",
    "RECIPES",
    "TUTORIAL",
    "Distortion",
    "Recipe",
    "RecipeError",
    "for_digits",
]


class RecipeError(LenetKerasError):
    """A recipe asks for what there is not."""


@dataclass(frozen=True)
class Distortion:
    """How far a digit may be from the one that was written. Each is drawn evenly from ± this.

    rotation: degrees. scale: natural logarithm, each axis its own. shear: pixels per pixel.
    shift: pixels. elastic: pixels, the standard deviation of the smooth displacements (normal).
    stroke: of the way from a pixel to the largest (thicker) or smallest (thinner) of the 3x3
    around it, 0 to 1. faint: of the ink, so much may be missing, 0 to 1; drawn from 0 to this.
    """

    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    elastic: float = 0.0
    stroke: float = 0.0
    faint: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """What ``evaluate_lenet5`` sets, under the names it uses.

    nkerns, n_hidden: the network's sizes.
    activation: of feature maps and hidden units, "tanh" or "relu".
    dropout: the share of flattened features, and of hidden units, that a training step does
        without.
    distortion: how each digit is changed every time it is seen, or None.
    optimizer: "sgd", plain stochastic gradient descent, or "adam" (Kingma and Ba 2014).
    learning_rate: the optimizer's, or its largest if the schedule changes it.
    schedule: "constant", or "cosine": up from 0 in the first epoch, then down to 0 at the end
        of the last as a cosine falls (Loshchilov and Hutter 2016).
    batch_size: digits in a minibatch.
    shuffle: take the digits in a new order in every epoch; if not, in the order of the data.
    n_epochs: at most so many passes over the training digits.
    averaged: score and keep the mean of the weights at the last so many validations, one an epoch
        as a rule (Izmailov and others 2018, "Averaging weights leads to wider optima"); 1 is the
        weights themselves.
    patience: look at this many minibatches regardless; at least 2.
    patience_increase: wait this much longer when a new best is found.
    improvement_threshold: a new best counts for patience if it is under this much of the old.
    seed: of the initial weights, and of every other chance.
    precision: "float32", or "bfloat16" for Keras's mixed_bfloat16 policy.

    Raises:
        RecipeError: a word is none of those above, or a number cannot be.
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
    batch_size: int = 500
    shuffle: bool = False
    n_epochs: int = 200
    averaged: int = 1
    patience: int = 10_000
    patience_increase: int = 2
    improvement_threshold: float = 0.995
    seed: int = 23455  # numpy.random.RandomState(23455) in evaluate_lenet5
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name, known in WORDS.items():
            if getattr(self, name) not in known:
                raise RecipeError(
                    f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}."
                )
        least = {"n_hidden": 1, "batch_size": 1, "n_epochs": 1, "averaged": 1, "patience": 2}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise RecipeError(f"{name} must be {smallest} or more, not {getattr(self, name)}.")
        if len(self.nkerns) != 2 or min(self.nkerns) < 1:
            raise RecipeError(f"nkerns must be two numbers of 1 or more, not {self.nkerns}.")
        if not 0 <= self.dropout < 1:
            raise RecipeError(f"dropout must be from 0 to below 1, not {self.dropout}.")


WORDS = {
    "activation": ("tanh", "relu"),
    "optimizer": ("sgd", "adam"),
    "schedule": ("constant", "cosine"),
    "precision": ("float32", "bfloat16"),
}

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
    precision="bfloat16",
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

RECIPES = {recipe.name: recipe for recipe in (TUTORIAL, FAST, MODERN)}
# what `lenet-keras train --help` says of each
ABOUT = {
    "tutorial": "as the tutorial did it, 200 epochs (the default)",
    "fast": "a better network in half a minute",
    "modern": "the best these layers give us",
}


def for_digits(recipe: Recipe) -> Recipe:
    """The same recipe for the embedded digits: 1,797 are few, so smaller minibatches, 20 epochs."""
    return replace(recipe, name=f"{recipe.name} on digits", batch_size=10, n_epochs=20)
