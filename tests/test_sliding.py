"""The sliding window, in a real browser and without JupyterLab: it shows what NumPy computes."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import correlate2d

from lenet_keras.ship.sliding import SlidingWindow

CELL = 10  # sliding.js
RNG = np.random.default_rng(0)
IMAGE, KERNEL = RNG.random((12, 12)).round(2), RNG.integers(-2, 3, (5, 5)).astype(float)


@settings(deadline=None, max_examples=30)
@given(arrays(float, (5, 5), elements=st.integers(-8, 8).map(lambda n: n / 4)))
def test_the_feature_map_is_scipys(kernel):
    window = SlidingWindow(IMAGE, kernel)
    assert np.allclose(window.feature_map(), correlate2d(IMAGE, kernel, mode="valid"))


def test_where_no_widget_runs_a_picture_stands_for_it():
    shown, _ = SlidingWindow(IMAGE, KERNEL)._repr_mimebundle_()
    assert shown["text/plain"].startswith("SlidingWindow: ")
    assert shown["image/png"].startswith("iVBOR")


@pytest.fixture
def page(widget_page):
    window = SlidingWindow(IMAGE, KERNEL)
    with widget_page(SlidingWindow, {"image": window.image, "kernel": window.kernel}) as page:
        yield page


def said(page):
    return tuple(map(float, re.findall(r"-?\d+\.?\d*", page.locator("p").inner_text())))


def visited(page):
    """How many cells of the map are not the grey of a place where the window has not been."""
    return page.locator(".map").evaluate(
        f"""map => {{
          const side = map.width / {CELL}, context = map.getContext('2d');
          let n = 0;
          for (let k = 0; k < side * side; k++) {{
            const x = (k % side) * {CELL} + 5, y = Math.floor(k / side) * {CELL} + 5;
            n += context.getImageData(x, y, 1, 1).data.slice(0, 3).join() !== '217,217,217';
          }}
          return n;
        }}"""
    )


def test_drag_type_and_fill(page):
    found = SlidingWindow(IMAGE, KERNEL).feature_map()
    assert said(page) == (0, 0, pytest.approx(found[0, 0], abs=0.006))
    assert visited(page) == 1

    box = page.locator(".digit").bounding_box()
    scale = box["width"] / len(IMAGE)
    page.mouse.move(box["x"] + 4.5 * scale, box["y"] + 3.5 * scale)  # the middle of the window
    page.mouse.down()
    page.mouse.move(box["x"] + 5.5 * scale, box["y"] + 3.5 * scale, steps=3)
    page.mouse.up()
    assert said(page) == (1, 3, pytest.approx(found[1, 3], abs=0.006))
    assert visited(page) == 3

    page.locator(".digit").press("ArrowDown")
    assert said(page) == (2, 3, pytest.approx(found[2, 3], abs=0.006))

    page.locator("input").nth(7).fill("2.5")  # row 1, column 2
    changed = KERNEL.copy()
    changed[1, 2] = 2.5
    found = SlidingWindow(IMAGE, changed).feature_map()
    assert said(page) == (2, 3, pytest.approx(found[2, 3], abs=0.006))
    assert page.evaluate("saved.kernel") == changed.tolist()  # Python has heard of it

    page.locator(".fill").click()
    assert visited(page) == found.size
    page.locator(".clear").click()
    assert visited(page) == 0


def test_a_kernel_that_python_sets_is_shown(page):
    other = (KERNEL + 1).tolist()
    page.evaluate("kernel => model.set('kernel', kernel)", other)
    values = page.locator("input").evaluate_all("all => all.map(input => input.valueAsNumber)")
    assert np.array_equal(np.reshape(values, (5, 5)), KERNEL + 1)
