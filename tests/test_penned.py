"""Our own pen's digits are in MNIST's normal form, and are what their labels say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from lenet_keras.penned import (
    DIGITS,
    LETTERS,
    NO_DIGIT,
    OTHERS,
    POINTS,
    by_hand,
    drawn,
    evenly,
    letter,
    one,
    pair,
    penned_digits,
    penned_others,
    ruled,
    seven,
    shadow,
    squared,
)
from lenet_keras.run import load_model

ROOT = __file__.rsplit("/tests/", 1)[0]


@pytest.fixture(scope="module")
def penned():
    return penned_digits(1000, seed=7)


@pytest.fixture(scope="module")
def others():
    return penned_others(400, seed=7)


def test_the_seed_decides(penned, others):
    np.testing.assert_array_equal(penned_digits(1000, seed=7).images, penned.images)
    np.testing.assert_array_equal(penned_others(400, seed=7).images, others.images)
    for again, first in ((penned_digits(50, seed=8), penned), (penned_others(50, seed=8), others)):
        assert (again.images != first.images[:50]).any(axis=(1, 2)).all()


def test_every_class_as_often_as_it_should_be_and_no_two_alike(penned, others):
    assert np.bincount(penned.labels).tolist() == [50, 300, 50, 50, 100, 50, 150, 150, 50, 50]
    assert (others.labels == NO_DIGIT).all()
    assert penned.labels.dtype == others.labels.dtype == np.int64
    assert len({image.tobytes() for image in penned.images}) == 1000


def test_they_are_in_mnists_normal_form(penned, others):
    for images in (penned.images, others.images):
        assert images.dtype == np.uint8 and images.shape[1:] == (28, 28)
        assert (images.max(axis=(1, 2)) == 255).all()
        for image in images:
            rows, columns = (np.flatnonzero(image.any(axis)) for axis in (1, 0))
            assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
            center = np.array(ndimage.center_of_mass(image))
            border = np.concatenate([image[[0, -1]].ravel(), image[:, [0, -1]].ravel()])
            assert (np.abs(center - 14) <= 0.5001).all() or border.any()


def test_a_network_that_never_saw_one_reads_what_the_labels_say(penned):
    """The tutorial's, trained on MNIST alone. A 1 with a long flag it takes for a 7."""
    network = load_model(f"{ROOT}/results/tutorial")
    labels = network.predict(penned.images, verbose=0).argmax(axis=1)
    right = [np.mean(labels[penned.labels == digit] == digit) for digit in range(10)]
    assert min(right) > 0.6 and np.mean(right) > 0.9


def test_holes_are_where_they_belong():
    """Counted in the paper of thin digits: 1, 2 of 8, 0 of what is open."""
    holes = {}
    for digit in (0, 1, 3, 8):
        images = drawn([DIGITS[digit]] * 100, np.random.default_rng(3))
        paper = [ndimage.label(np.pad(image, 1) < 100)[1] - 1 for image in images]
        holes[digit] = np.mean(paper)
    assert holes[1] < 0.2 and holes[3] < 0.3 < 0.6 < holes[0] < 1.2 < holes[8]


def test_a_flag_is_as_long_as_said():
    rng = np.random.default_rng(0)
    bare, flagged = one(rng, flag=0, foot=0), one(rng, flag=0.5, foot=0)
    assert np.ptp(bare[0][:, 0]) < 0.1
    end = flagged[0][0]
    assert np.hypot(*end) == pytest.approx(0.5) and end[0] < 0 < end[1]
    assert len(one(rng, flag=0.5, foot=0.4)) == 2
    foot = one(rng, flag=0.5, foot=0.4)[1]
    assert np.ptp(foot[:, 0]) == pytest.approx(0.4)


def test_a_seven_has_its_bar_where_it_is_asked_for():
    rng = np.random.default_rng(0)
    assert len(seven(rng, bar=False)) == 1 and len(seven(rng, bar=True)) == 2


def test_letters_that_are_a_digits_twins_are_left_out():
    assert not set("OoIlZzSsBbGgqQ") & set(LETTERS)


def test_most_of_what_is_no_digit_is_written():
    assert 2 * sum(form in (letter, pair) for form in OTHERS) > len(OTHERS)


@given(st.sampled_from([ruled, squared, shadow]), st.integers(0, 2**32 - 1))
def test_nothing_on_empty_paper_stands_like_a_one(form, seed):
    x, _ = np.concatenate(form(np.random.default_rng(seed))).T
    assert np.ptp(x) > 0.6


@settings(max_examples=200)
@given(st.sampled_from([*DIGITS, *OTHERS]), st.integers(0, 2**32 - 1))
def test_every_form_fits_into_its_points(form, seed):
    rng = np.random.default_rng(seed)
    points = by_hand(form(rng), rng)
    assert points.shape == (POINTS, 2) and np.isfinite(points).all()


@given(st.integers(2, 50))
def test_points_are_evenly_apart(n):
    corner = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])
    points = evenly(corner, n)
    np.testing.assert_allclose(points[[0, -1]], corner[[0, -1]])
    assert (np.hypot(*np.diff(points, axis=0).T) <= 7 / (n - 1) + 1e-9).all()
