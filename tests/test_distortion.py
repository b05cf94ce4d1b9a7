"""Distorted digits are the digits they were, as far as they are said to be."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from lenet_keras.distortion import FADED, Distort, _bilinear, strength
from lenet_keras.recipe import Distortion

PLACES = arrays(np.float32, (2, 28, 28), elements=st.floats(-40, 70, width=32))
ALL = Distortion(rotation=10, scale=0.1, shear=0.1, shift=1.5, elastic=0.8, stroke=0.5, faint=0.5)


def distorted(distortion, images, seed=0):
    return keras.ops.convert_to_numpy(Distort(distortion, seed)(images, training=True))


@settings(max_examples=50, deadline=None)
@given(arrays(np.uint8, (1, 28, 28)), PLACES)
def test_looking_between_pixels_is_what_scipy_does(image, places):
    expected = ndimage.map_coordinates(
        image[0].astype(np.float64), places, order=1, mode="grid-constant"
    )
    ours = keras.ops.convert_to_numpy(_bilinear(image, places[:1], places[1:]))
    np.testing.assert_allclose(ours[0], expected, atol=0.01)


def test_nothing_happens_outside_training_or_without_distortion(digits):
    images = digits.test.images[:50]
    calm = Distort(ALL)(images)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(calm), images)
    same = distorted(Distortion(), images)
    assert same.dtype == np.uint8
    np.testing.assert_array_equal(same, images)


def test_every_digit_is_distorted_anew_and_the_seed_decides_how(digits):
    image = np.repeat(digits.test.images[:1], 8, axis=0)
    first = distorted(ALL, image)
    assert len({digit.tobytes() for digit in first}) == 8
    np.testing.assert_array_equal(distorted(ALL, image), first)
    assert (distorted(ALL, image, seed=1) != first).any()
    layer = Distort(ALL)
    again = [keras.ops.convert_to_numpy(layer(image, training=True)) for _ in range(2)]
    assert (again[0] != again[1]).any()


def where_from(distortion, n=400):
    places = Distort(distortion, seed=3)._where_from(n)
    y, x = (keras.ops.convert_to_numpy(place) - 13.5 for place in places)
    return np.broadcast_to(y, (n, 28, 28)), np.broadcast_to(x, (n, 28, 28))


CENTERED = np.arange(28) - 13.5


def test_a_rotation_turns_about_the_center_and_no_further_than_said():
    y, x = where_from(Distortion(rotation=20))
    angle = np.rad2deg(np.arctan2(y[:, -1, -1], x[:, -1, -1])) - 45
    assert np.abs(angle).max() <= 20 + 1e-3
    assert angle.min() < -15 and angle.max() > 15
    np.testing.assert_allclose(
        np.hypot(y, x),
        np.broadcast_to(np.hypot(*np.meshgrid(CENTERED, CENTERED)), y.shape),
        rtol=1e-4,
    )


def test_a_shift_is_the_same_for_all_of_a_digit():
    y, x = where_from(Distortion(shift=3))
    for moved, still in ((y, CENTERED[:, None]), (x, CENTERED[None, :])):
        by = moved - still
        assert np.ptp(by, axis=(1, 2)).max() < 1e-4
        assert 2.8 < np.abs(by).max() <= 3 + 1e-4


def test_scales_are_drawn_for_each_axis():
    y, x = where_from(Distortion(scale=0.2))
    height, width = y[:, -1, 0] / 13.5, x[:, 0, -1] / 13.5
    for size in (height, width):
        assert np.abs(np.log(size)).max() <= 0.2 + 1e-4
        assert np.log(size).std() == pytest.approx(0.2 / np.sqrt(3), rel=0.15)
    assert abs(np.corrcoef(height, width)[0, 1]) < 0.2


def test_elastic_displacements_are_as_large_as_said_and_smooth():
    y, x = where_from(Distortion(elastic=0.8))
    for bent, still in ((y, CENTERED[:, None]), (x, CENTERED[None, :])):
        by = bent - still
        assert by.std() == pytest.approx(0.8, rel=0.05)
        assert by.std(axis=0).min() > 0.6  # at every pixel, the corners too
        assert np.diff(by, axis=2).std() < 0.25  # neighbors move together


def test_another_pen_writes_between_the_thinnest_and_the_thickest(digits):
    images = digits.test.images[:100].astype(np.float32)
    changed = distorted(Distortion(stroke=1.0), digits.test.images[:100]).astype(float)
    assert (changed <= ndimage.maximum_filter(images, (1, 3, 3), mode="constant") + 0.5).all()
    assert (changed >= ndimage.minimum_filter(images, (1, 3, 3), mode="constant") - 0.5).all()
    more = changed.sum((1, 2)) > images.sum((1, 2))
    assert 25 < more.sum() < 75


def test_a_faint_digit_is_the_same_digit_with_less_ink(digits):
    images = digits.test.images[:200]
    changed = distorted(Distortion(faint=0.6), images).astype(float)
    share = changed.sum((1, 2)) / images.sum((1, 2))
    np.testing.assert_allclose(changed, share[:, None, None] * images, atol=1)
    assert 0.39 < share.min() < 0.45 and 0.95 < share.max() <= 1.001


def test_distortions_are_as_large_as_the_layers_strength():
    distortion = Distortion(rotation=10, scale=0.1, shear=0.1, shift=1.5, elastic=0.8)
    still = np.broadcast_to(np.arange(28), (5, 28, 28))
    moved = []
    for strength_ in (1.0, 0.01, 0.0):
        layer = Distort(distortion, seed=3)
        layer.strength.assign(strength_)
        moved.append(keras.ops.convert_to_numpy(layer._where_from(5)[1]) - still)
    np.testing.assert_allclose(moved[1], moved[0] / 100, atol=5e-3)  # all but the turn are linear
    np.testing.assert_allclose(moved[2], 0, atol=1e-5)


def test_distortions_fade_at_the_end_and_nowhere_else():
    assert [strength(done, 0.0) for done in (0.0, 0.9)] == [1, 1]
    assert [strength(done, 0.25) for done in (0.0, 0.5, 0.75)] == [1, 1, 1]
    assert strength(0.875, 0.25) == pytest.approx((1 + FADED) / 2)
    assert strength(1.0, 0.25) == pytest.approx(FADED)
    assert strength(0.5, 1.0) == pytest.approx((1 + FADED) / 2)
