"""The learning rate's slider, in a real browser without JupyterLab: it descends as Python does."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenet_keras.ship.valley import STEPS, STILL, Valley

PLACES = np.arange(-2, 5.01, 0.25)
# the lesson's costs at these places
COSTS = """
    2.527 2.496 2.447 2.371 2.258 2.106 1.916 1.699 1.475 1.268 1.104 0.995 0.942 0.936
    0.967 1.029 1.114 1.216 1.333 1.460 1.597 1.740 1.889 2.042 2.199 2.359 2.522 2.686
    2.853
"""
VALLEY = Valley(PLACES, np.array(COSTS.split(), float))
RATES = np.geomspace(0.01, 10, 61)


@given(st.floats(0.1, 2), st.floats(0.5, 3), st.floats(0.05, 1.9) | st.floats(2.1, 4))
def test_on_a_parabola_descent_is_the_closed_form(curvature, lowest, rate_times_curvature):
    """Each step multiplies the distance from the lowest place by 1 - rate * curvature."""
    valley = Valley(PLACES, curvature / 2 * (PLACES - lowest) ** 2)
    path = np.array(valley.descend(rate_times_curvature / curvature))
    shares = (1 - rate_times_curvature) ** np.arange(len(path))
    assert np.allclose(path, lowest * (1 - shares), rtol=1e-6, atol=1e-6)
    on_line = (PLACES[0] <= path) & (path <= PLACES[-1])
    assert on_line[:-1].all()
    assert len(path) == STEPS + 1 or not on_line[-1]
    away = np.abs(path - lowest)
    if rate_times_curvature < 2:
        assert away[-1] < away[0]
    else:
        assert (np.diff(away) > 0).all()


def test_where_no_widget_runs_three_learning_rates_stand_for_it():
    shown, _ = VALLEY._repr_mimebundle_()
    assert shown["text/plain"].startswith("Valley: ")
    assert shown["image/png"].startswith("iVBOR")
    small, right, large = (np.array(VALLEY.descend(rate)) for rate in STILL)
    lowest = PLACES[np.argmin(VALLEY.costs)]
    assert (np.diff(small) > 0).all() and small[-1] < lowest / 2
    assert abs(right[-1] - lowest) < 0.25
    assert (np.diff(np.sign(large - lowest)) != 0).sum() > STEPS / 2  # from side to side


STATE = {name: getattr(VALLEY, name) for name in ("places", "costs", "slopes", "rate")}


def costs_said(page):
    """The costs in what is said: all numbers but the learning rate and the step."""
    numbers = re.findall(r"\d+\.\d{3}", page.locator("p").inner_text())
    rate = page.locator("output").inner_text()
    return tuple(float(number) for number in numbers if number != rate)


def reached(rate):
    path = np.clip(VALLEY.descend(rate), PLACES[0], PLACES[-1])
    return [round(float(cost), 3) for cost in VALLEY.curve(path)]


def test_the_browser_descends_as_python_does(widget_page):
    with widget_page(Valley, STATE) as page:
        descents = "rates => rates.map((rate) => widget.descend(state, rate))"
        paths = page.evaluate(descents, RATES.tolist())
    lengths = set()
    for rate, path in zip(RATES, paths):
        assert np.allclose(path, VALLEY.descend(rate), rtol=1e-9, atol=1e-9)
        lengths.add(len(path))
    assert len(lengths) > 1  # some of them left the picture


@pytest.fixture
def page(widget_page):
    with widget_page(Valley, STATE) as page:
        yield page


def test_play_and_slide(page):
    slider, steps = page.get_by_role("slider"), page.locator("circle")
    assert steps.count() == 1
    assert costs_said(page) == pytest.approx((reached(0.1)[0], min(VALLEY.costs)), abs=6e-4)

    page.get_by_role("button").click()
    page.wait_for_function("document.querySelector('p').textContent === ''")  # while it plays
    page.wait_for_function("document.querySelectorAll('circle').length > 2")
    page.wait_for_function("document.querySelector('p').textContent !== ''")
    assert steps.count() == STEPS + 1
    assert costs_said(page) == pytest.approx((reached(0.1)[0], reached(0.1)[-1]), abs=1e-3)

    sayings = set()
    slider.press("Home")
    for press in range(61):  # the whole slider, by the keyboard
        rate = float(slider.get_attribute("aria-valuetext"))
        assert rate == pytest.approx(RATES[press], rel=0.05)
        costs = reached(rate)
        if VALLEY.descend(rate)[-1] <= PLACES[-1]:
            assert costs_said(page)[:2] == pytest.approx((costs[0], costs[-1]), abs=1e-3)
        assert steps.count() == len(costs)
        if press:
            assert page.evaluate("saved.rate") == rate  # Python has heard of it
        sayings.add(re.sub(r"[\d.]+", "", page.locator("p").inner_text()))
        slider.press("ArrowRight")
    assert len(sayings) == 4  # too small, right, too large, far too large


def test_less_motion_is_no_motion(widget_page):
    with widget_page(Valley, STATE, reduced_motion="reduce") as page:
        page.get_by_role("button").click()
        assert page.locator("circle").count() == STEPS + 1
        assert len(costs_said(page)) == 2


def test_a_rate_that_python_sets_is_shown_and_chinese_is_spoken(widget_page):
    chinese = {"locale": "zh-CN", "viewport": {"width": 320, "height": 600}}
    with widget_page(Valley, STATE, **chinese) as page:
        page.evaluate("model.set('rate', 1)")
        assert page.get_by_role("slider").input_value() == "0"
        assert page.locator("output").inner_text() == "1"
        assert re.search("[\u4e00-\u9fff]", page.locator("p").inner_text())
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
