"""The speedrun on few embedded digits: it learns, the same each time, and its table says so."""

import json
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import speedrun
from speedrun import SPEEDRUN, error_of, learn, report, result_of

from lenet_keras.data import Split

SMALL = replace(SPEEDRUN, nkerns=(4, 6), n_hidden=20, batch_size=50, n_epochs=4)
PART = 10


@pytest.fixture(scope="module")
def learned(digits):
    return learn(SMALL, digits.train, PART)


def test_it_learns_the_same_each_time(learned, digits):
    network, seconds, computing = learned
    assert seconds > 0 and computing > 0
    assert error_of(network, SMALL, digits.test) < 50  # guessing is 90
    again, _, _ = learn(SMALL, digits.train, PART)
    for a, b in zip(network.get_weights(), again.get_weights()):
        assert np.array_equal(a, b)


def test_it_sees_as_many_digits_as_it_says(digits):
    """Those that come after the last minibatch of the last part change nothing."""
    recipe = replace(SMALL, shuffle=False, n_epochs=1)
    few = Split(digits.train.images[:500], digits.train.labels[:500])
    one, _, _ = learn(recipe, few, PART)
    two, _, _ = learn(recipe, digits.train, PART)
    for a, b in zip(one.get_weights(), two.get_weights()):
        assert np.array_equal(a, b)


def test_the_layers_are_the_tutorials():
    assert SPEEDRUN.nkerns == (20, 50) and SPEEDRUN.n_hidden == 500


def test_a_seed_is_a_process_and_is_kept(digits, tmp_path, monkeypatch):
    calls = []

    def process(command, **_):
        calls.append(command)
        gave = {"whole": 9.0, "training": 3.0, "computing": 5.0, "error": 0.97 + len(calls) / 100}
        gave |= {"precision": "float32", "processor": "a chip", "load": 1.5}
        return speedrun.subprocess.CompletedProcess(command, 0, f"a note\n{json.dumps(gave)}\n", "")

    monkeypatch.setattr(speedrun.subprocess, "run", process)
    results = [result_of(seed, tmp_path) for seed in (1, 2)]
    assert len(calls) == 2 and [result_of(seed, tmp_path) for seed in (1, 2)] == results
    assert len(calls) == 2  # nothing is trained twice
    table = report(results)
    errors = [0.98, 0.99]
    assert f"{statistics.mean(errors):.3f} ± {statistics.stdev(errors):.3f} %" in table
    for said in ("9.00 s", "3.00 s", "a chip", "relu", "adam", "float32", "| 2 seeds"):
        assert said in table
    assert all(line.count("|") == 3 for line in table.splitlines())
    assert "±" not in report(results[:1])
    monkeypatch.setattr(speedrun, "SPEEDRUN", replace(SPEEDRUN, batch_size=200))
    result_of(1, tmp_path)
    assert len(calls) == 3  # another recipe is trained again
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    result_of(1, tmp_path)
    assert len(calls) == 4
