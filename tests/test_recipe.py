"""A recipe is a value: what is invalid is refused in one place, and nothing gets lost on disk."""

import json
import math
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenet_keras.recipe import (
    CHOICES,
    MODERN,
    RECIPES,
    TUTORIAL,
    Distortion,
    Recipe,
    RecipeError,
    for_digits,
)

shares = st.floats(0, 1, exclude_max=True)
recipes = st.builds(
    Recipe,
    name=st.text(max_size=9),
    nkerns=st.tuples(st.integers(1, 99), st.integers(1, 99)),
    n_hidden=st.integers(1, 999),
    dropout=shares,
    distortion=st.none()
    | st.builds(Distortion, **{field.name: shares for field in fields(Distortion)}),
    learning_rate=st.floats(1e-9, 1e9) | st.integers(1, 9),
    batch_size=st.integers(1, 999),
    shuffle=st.booleans(),
    n_epochs=st.integers(1, 999),
    averaged=st.integers(1, 9),
    penned=st.integers(0, 999),
    others=st.integers(0, 999),
    patience=st.integers(2, 10**9),
    patience_increase=st.integers(1, 9),
    improvement_threshold=st.floats(0.1, 1),
    seed=st.integers(0, 2**32 - 1),
    fading=st.floats(0, 1),
    **{name: st.sampled_from(words) for name, words in CHOICES.items()},
)


@given(recipes)
def test_nothing_is_lost_on_the_way_through_json(recipe):
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@given(recipes, recipes)
def test_changed_is_replace(recipe, other):
    changes = {"learning_rate": other.learning_rate, "nkerns": list(other.nkerns)}
    assert recipe.changed(changes) == replace(
        recipe, learning_rate=other.learning_rate, nkerns=other.nkerns
    )


def test_a_field_of_the_distortion_is_changed_alone():
    changed = MODERN.changed({"distortion.shift": 3})
    assert changed == replace(MODERN, distortion=replace(MODERN.distortion, shift=3))
    assert TUTORIAL.changed({"distortion.shift": 3}).distortion == Distortion(shift=3)


def test_the_tutorials_dictionary_has_only_what_the_tutorial_has():
    """So a field that is added later does not change what older runs are."""
    assert {"dropout", "schedule", "distortion"}.isdisjoint(TUTORIAL.to_dict())
    assert {"penned", "others", "fading", "weight_decay"}.isdisjoint(MODERN.to_dict())
    assert {"learning_rate", "nkerns", "seed"} <= set(TUTORIAL.to_dict())
    assert {"dropout", "schedule", "distortion"} <= set(MODERN.to_dict())


def test_for_digits_keeps_the_rest():
    for recipe in RECIPES.values():
        fitted = for_digits(recipe)
        same = {"name": recipe.name, "batch_size": recipe.batch_size, "n_epochs": recipe.n_epochs}
        assert replace(fitted, **same) == recipe


INVALID = [
    {"schedule": "linear"},
    {"optimizer": "rmsprop"},
    {"optimizer": ["sgd"]},
    {"activation": None},
    {"batch_size": 0},
    {"batch_size": 2**31},
    {"batch_size": 10.0},
    {"n_epochs": True},
    {"n_epochs": 10**20},
    {"patience": 1},
    {"patience_increase": 0},
    {"averaged": 0},
    {"penned": -1},
    {"others": 2.5},
    {"nkerns": (0, 5)},
    {"nkerns": (5,)},
    {"nkerns": 5},
    {"nkerns": (5, 5.0)},
    {"dropout": 1.0},
    {"dropout": -0.1},
    {"dropout": math.nan},
    {"weight_decay": -0.1},
    {"weight_decay": 0.1},
    {"fading": 1.1},
    {"learning_rate": 0.0},
    {"learning_rate": -0.1},
    {"learning_rate": math.inf},
    {"learning_rate": math.nan},
    {"learning_rate": 10**400},
    {"learning_rate": "0.1"},
    {"improvement_threshold": 0},
    {"improvement_threshold": 1.5},
    {"seed": -1},
    {"seed": 2**32},
    {"shuffle": 1},
    {"name": 7},
    {"distortion": 5},
    {"distortion": {"rotation": -1.0}},
    {"distortion": {"rotation": math.nan}},
    {"distortion": {"stroke": 1.1}},
    {"distortion": {"wobble": 1.0}},
    {"rate": 0.1},
]


@pytest.mark.parametrize("changes", INVALID, ids=str)
def test_an_invalid_field_is_a_sentence_that_names_it(changes):
    (name,) = changes
    with pytest.raises(RecipeError) as caught:
        Recipe.from_dict(TUTORIAL.to_dict() | changes)
    said = str(caught.value)
    assert name in said and said.endswith(".") and "\n" not in said and len(said) < 500
