"""Digits on other paper: pictures of every kind, the graph's view of them, the same each time."""

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "results"))

from paper import PAPERS, cut_out, in_cell, outlined, seen_on_paper, speckled, striped  # noqa: E402


@pytest.mark.parametrize("change", dict.fromkeys(PAPERS), ids=lambda change: change.__name__)
def test_a_picture_of_every_kind_is_drawn_anew_and_leaves_the_digit_alone(change, digits):
    rng = np.random.default_rng(0)
    for digit in digits.train.images[:20]:
        before = digit.copy()
        pictures = [np.rint(change(digit, rng)) for _ in range(4)]
        np.testing.assert_array_equal(digit, before)
        assert all(0 <= p.min() < p.max() <= 255 for p in pictures)
        assert len({p.tobytes() for p in pictures}) > 1


def test_what_happens_to_the_digit():
    digit = np.zeros((28, 28), np.uint8)
    digit[4:24, 10:18] = 255
    rng = np.random.default_rng(0)
    assert (striped(digit, rng) != digit).mean() > 10 / 28 - 1e-9  # two bands of 5 to 9
    assert 0 < (speckled(digit, rng) != digit).mean() < 0.15
    edge = outlined(digit, rng) > 0
    assert edge.sum() == 2 * 20 + 2 * 8 - 4 and edge[4, 10] and not edge[10, 13]
    cut = cut_out(digit, rng)
    assert np.isin(cut, (0, 255)).all() and (cut == 0).mean() > 0.6
    everywhere = np.full((28, 28), 255, np.uint8)
    assert all(np.mean(cut_out(everywhere, rng) == 0) > 0.8 for _ in range(20))  # at the border too
    assert in_cell(digit, rng).shape[0] >= 112


def test_the_network_sees_them_in_mnists_form_and_each_has_its_label(digits):
    seen = seen_on_paper(digits.train, 60, seed=1)
    assert seen.images.dtype == np.uint8 and seen.images.shape[1:] == (28, 28)
    assert 50 < len(seen.labels) == len(seen.images) <= 60
    assert seen.images.any(axis=(1, 2)).all()
    again, other = (seen_on_paper(digits.train, 60, seed) for seed in (1, 2))
    np.testing.assert_array_equal(again.images, seen.images)
    assert not np.array_equal(other.labels, seen.labels)
    # where the paper leaves the digit whole, it is the digit: of ten nearest means, its own
    means = np.stack([digits.train.images[digits.train.labels == d].mean(0) for d in range(10)])
    apart = ((seen.images[:, None] - means) ** 2).sum(axis=(2, 3))
    assert (apart.argmin(axis=1) == seen.labels).mean() > 0.4
