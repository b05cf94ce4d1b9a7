"""The LeNet-5 of 1998, as lesson 14 defines it and results/lenet1998.py trains it."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
PAPER = {"C1": 156, "S2": 12, "C3": 1_516, "S4": 32, "C5": 48_120, "F6": 10_164}
# Table I of the paper, row by row: which maps of C3 look at this map of S2
TABLE_I = [
    {0, 4, 5, 6, 9, 10, 11, 12, 14, 15},
    {0, 1, 5, 6, 7, 10, 11, 12, 13, 15},
    {0, 1, 2, 6, 7, 8, 11, 13, 14, 15},
    {1, 2, 3, 6, 7, 8, 9, 12, 14, 15},
    {2, 3, 4, 7, 8, 9, 10, 12, 13, 15},
    {3, 4, 5, 8, 9, 10, 11, 13, 14, 15},
]


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "results"))
        import lenet1998

        yield lenet1998


@pytest.fixture(scope="module")
def lenet(script):
    return script.lesson()


def test_every_layer_has_the_papers_number_of_weights(lenet):
    model = lenet.build_lenet5_1998()
    assert {name: model.get_layer(name).count_params() for name in PAPER} == PAPER
    assert sum(math.prod(weight.shape) for weight in model.trainable_weights) == 60_000


def test_the_table_is_the_papers(lenet):
    assert [set(np.flatnonzero(row)) for row in lenet.TABLE] == TABLE_I


def test_a_blank_in_the_table_lets_nothing_through(lenet):
    rng = np.random.default_rng(1)
    maps = rng.normal(size=(2, 14, 14, 6)).astype(np.float32)
    c3 = lenet.TableConvolution(lenet.TABLE)
    before = c3(maps).numpy()
    for changed in range(6):
        other = maps.copy()
        other[..., changed] = rng.normal(size=other.shape[:3])
        differs = (c3(other).numpy() != before).any(axis=(0, 1, 2))
        assert set(np.flatnonzero(differs)) == TABLE_I[changed]


def test_subsampling_is_the_sum_of_four_times_a_gain_plus_a_bias(lenet):
    maps = np.random.default_rng(2).normal(size=(3, 4, 6, 2)).astype(np.float32)
    layer = lenet.Subsampling()
    layer.build(maps.shape)
    gain, bias = np.array([0.5, -1.0]), np.array([0.1, 0.2])
    layer.set_weights([gain, bias])
    sums = maps.reshape(3, 2, 2, 3, 2, 2).sum(axis=(2, 4))
    expected = 1.7159 * np.tanh(2 / 3 * (gain * sums + bias))
    assert np.abs(layer(maps).numpy() - expected).max() < 1e-5


def test_the_penalty_is_equation_9(lenet):
    distances = np.random.default_rng(3).uniform(0, 30, (5, 10)).astype(np.float32)
    labels = np.array([3, 0, 9, 3, 7])
    expected = [
        row[label] + math.log(math.exp(-lenet.J) + sum(math.exp(-y) for y in row))
        for row, label in zip(distances.tolist(), labels)
    ]
    assert np.allclose(lenet.penalty(labels, distances), expected, atol=1e-4)
    assert np.allclose(lenet.penalty(labels[:, None], distances), expected, atol=1e-4)


def test_a_bitmap_is_at_no_distance_from_itself(lenet):
    states = lenet.BITMAPS.reshape(10, 84)
    distances = lenet.Distances()(states).numpy()
    assert np.array_equal(distances == 0, np.eye(10, dtype=bool))


def test_the_recorded_run_is_of_this_script(script):
    with (ROOT / "results/lenet1998/history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, script.EPOCHS + 1))
    penalties = [float(row["penalty"]) for row in rows]
    assert penalties[-1] < penalties[0] / 4
    assert int(rows[-1]["test_wrong"]) < 150
