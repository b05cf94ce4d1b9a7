"""The tables of many runs say what the runs say."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lenet_keras import MODERN, TUTORIAL
from lenet_keras.score import wilson_interval
from lenet_keras.training import initial_model

ROOT = Path(__file__).parent.parent


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "results")
    import study

    return study


def record(folder, valid, test):
    folder.mkdir(parents=True)
    result = {"best_validation_error": valid, "test_error": test}
    (folder / "run.json").write_text(json.dumps({"result": result, "wall_seconds": 90}))
    (folder / "history.csv").write_text(f"epoch,validation_error\n1,5.0\n2,{valid}\n3,{valid}\n")
    (folder / "model.keras").write_text("weights")


def test_the_table_and_the_model_that_is_kept(study, monkeypatch, tmp_path):
    monkeypatch.setattr(study, "HERE", tmp_path)
    for name, valid, test in (("seed-1", 0.5, 0.4), ("seed-2", 0.4, 0.6), ("seed-3", 0.6, 0.5)):
        record(tmp_path / "modern" / name, valid, test)
    (tmp_path / "modern" / "seed-4").mkdir()  # not finished: not counted
    table = study.table("modern")
    assert "| seed-2 | 0.40 | 2 | 0.60 | 90 |" in table
    low, high = wilson_interval(50, 10_000)
    row = f"| seed | 3 | 0.500 ± 0.100 % | 0.500 ± 0.100 % | {low:.2f} to {high:.2f} | 90 |"
    assert row in table
    study.keep_the_best_model("modern")
    kept = [path.parent.name for path in (tmp_path / "modern").glob("*/model.keras")]
    assert kept == ["seed-2"]  # by validation, not by test


def test_a_nudge_is_one_unit_in_the_last_place_of_every_weight(study, monkeypatch):
    small = replace(TUTORIAL, nkerns=(3, 4), n_hidden=7)
    before, nudged = initial_model(small).get_weights(), []
    monkeypatch.setattr(study, "runs_of", lambda _: {"rounding-1": small})
    monkeypatch.setattr(study, "load_mnist", lambda *_: None)
    monkeypatch.setattr(
        study, "train", lambda *_, initial_weights, **__: nudged.extend(initial_weights)
    )
    study.one("spread", "rounding-1")
    moved = 0
    for old, new in zip(before, nudged, strict=True):
        assert new.dtype == np.float32
        units = np.abs(old.view(np.int32).astype(np.int64) - new.view(np.int32))
        assert (units[old != 0] == 1).all() and (units[old == 0] == 0).all()
        moved += units.sum()
    assert moved > 500


def test_every_study_has_its_runs(study):
    assert len(study.runs_of("spread")) == 10
    assert {len(study.runs_of(name)) for name in ("modern", "fast", "best")} == {5}
    ablation = study.runs_of("ablation")
    assert len(ablation) == 3 * len(study.WITHOUT)
    recipes = {replace(recipe, name="modern", seed=0) for recipe in ablation.values()}
    assert len(recipes) == len(study.WITHOUT)  # no two ingredients are the same change,
    assert replace(MODERN, seed=0) not in recipes  # and each is one
