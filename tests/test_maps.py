"""The feature maps under the pad: those of the network, in Python and in a real browser."""

import base64
import io
import re

import keras
import numpy as np
import pytest
from pen import drawn
from PIL import Image
from playwright.sync_api import expect

from lenet_keras import DrawingPad, build_lenet5
from lenet_keras.ship.maps import FeatureMaps

BLANK = np.full((280, 280), 255, np.uint8)
EXAMPLE = np.zeros((28, 28), np.uint8)
EXAMPLE[4:24, 12:16] = 255


@pytest.fixture(scope="module")
def network():
    model = build_lenet5()
    outputs = {name: model.get_layer(name).output for name in ("tanh1", "tanh2")}
    return keras.Model(model.input, outputs)


@pytest.fixture
def pad():
    return DrawingPad()


def of(network, digit):
    """What the network itself gives, a layer's maps first."""
    return {name: m[0].transpose(2, 0, 1) for name, m in network.predict(digit[None]).items()}


def same(maps, others):
    return maps.keys() == others.keys() and all(np.allclose(maps[k], others[k]) for k in maps)


def test_the_maps_are_those_of_the_network_and_change_with_the_pad(network, pad):
    shown = FeatureMaps(pad, network, EXAMPLE)
    assert shown.maps == {}
    pad.picture = drawn(7)
    seven = shown.maps
    assert seven["tanh1"].shape == (20, 12, 12) and seven["tanh2"].shape == (50, 4, 4)
    assert same(seven, of(network, pad.answer.normalized))
    pad.picture = drawn(2)
    assert same(shown.maps, of(network, pad.answer.normalized)) and not same(shown.maps, seven)
    pad.picture = BLANK
    assert shown.maps == {}


def test_a_pad_that_has_a_digit_already(network, pad):
    pad.picture = drawn(7)
    assert same(FeatureMaps(pad, network, EXAMPLE).maps, of(network, pad.answer.normalized))


def test_one_pass_through_the_network_for_each_change(pad):
    passes = []

    def network(digit):
        passes.append(digit)
        return {"same": digit[..., None] / 255}

    FeatureMaps(pad, network, EXAMPLE)
    before = len(passes)
    for digit in (7, 2, 1):
        pad.picture = drawn(digit)
    assert len(passes) == before + 3
    assert np.array_equal(passes[-1][0], pad.answer.normalized)


def test_a_network_that_fails_does_not_break_the_pad(pad):
    failing = False

    def network(digit):
        if failing:
            raise ValueError("no more")
        return {"same": digit[..., None] / 255}

    shown = FeatureMaps(pad, network, EXAMPLE)
    pad.picture = drawn(7)
    assert shown.maps and not shown.trouble
    failing = True
    pad.picture = drawn(1)
    assert pad.answer.label == 1 and np.array_equal(pad.picture, drawn(1))
    assert shown.maps == {} and shown.trouble == "ValueError: no more"
    failing = False
    pad.picture = drawn(7)
    assert pad.answer.label == 7 and shown.maps and not shown.trouble
    with pytest.raises(ZeroDivisionError):  # what never works is told at once
        FeatureMaps(pad, lambda digit: 1 / 0, EXAMPLE)


def test_the_still_picture_is_of_the_example_or_of_what_is_drawn(network, pad):
    def pixels(shown):
        data, _ = shown._repr_mimebundle_()
        assert data["text/plain"].startswith("FeatureMaps: ")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))))

    shown = FeatureMaps(pad, network, EXAMPLE)
    example = pixels(shown)
    assert (example[:, :, 0] < 128).any()
    pad.picture = drawn(7)
    assert (pixels(shown) != example).any()
    pad.picture = BLANK
    assert np.array_equal(pixels(shown), example)


# --- in the browser ---


@pytest.fixture
def shown(pad, network):
    return FeatureMaps(pad, network, EXAMPLE)


@pytest.fixture
def page(widget_page, shown):
    state = {**shown.get_state(["shapes"]), "maps": {}, "trouble": ""}
    with widget_page(FeatureMaps, state, viewport={"width": 1280, "height": 900}) as page:
        yield page


SEND = """([maps, trouble]) => {
  const view = (bytes) => new DataView(Uint8Array.from(bytes).buffer);
  const each = Object.entries(maps).map(([name, bytes]) => [name, view(bytes)]);
  model.set("maps", Object.fromEntries(each));
  model.set("trouble", trouble);
}"""


def send(page, shown):
    """What Python has for the browser now, given to it."""
    state = shown.get_state(["maps", "trouble"])
    maps = {name: list(values) for name, values in state["maps"].items()}
    page.evaluate(SEND, [maps, state["trouble"]])


def seen(page):
    """Layer to values as the canvases have them: blue above 0, orange below, the share as alpha."""
    layers = page.locator("figure").evaluate_all(
        """figures => figures.map(figure => [...figure.querySelectorAll("canvas")].map(canvas => {
             const { width, height } = canvas;
             return [...canvas.getContext("2d").getImageData(0, 0, width, height).data];
           }))"""
    )
    found = []
    for maps in layers:
        pixels = np.array(maps).reshape(len(maps), -1, 4)
        sign = np.where(pixels[..., 2] >= pixels[..., 0], 1, -1)
        found.append(sign * pixels[..., 3] / 255)
    return found


def test_the_browser_shows_the_numbers_and_nothing_of_an_empty_pad(page, pad, shown):
    assert [layer.shape for layer in seen(page)] == [(20, 144), (50, 16)]
    assert not any(layer.any() for layer in seen(page))
    for digit in (7, 2):
        pad.picture = drawn(digit)
        send(page, shown)
        for layer, maps in zip(seen(page), shown.maps.values()):
            assert np.allclose(layer, maps.reshape(layer.shape), atol=0.01)
    pad.picture = BLANK
    send(page, shown)
    assert not any(layer.any() for layer in seen(page))


def test_a_reader_who_does_not_see_hears_which_maps_are_bluest(page, pad, shown):
    first = page.locator("[role=img]").first
    expect(first).to_have_attribute("aria-label", "tanh1: 20 maps of 12×12")
    pad.picture = drawn(7)
    send(page, shown)
    bluest = np.argsort(-shown.maps["tanh1"].sum(axis=(1, 2)))[:3]
    ends = re.compile(" " + ", ".join(map(str, bluest)) + "[.]$")
    expect(first).to_have_attribute("aria-label", ends)


def test_trouble_is_told(page):
    page.evaluate("model.set('trouble', 'ValueError: no more')")
    expect(page.locator("p").first).to_contain_text("no more")
    page.evaluate("model.set('trouble', '')")
    expect(page.locator("p").first).to_contain_text("Draw")


def test_a_narrow_screen(page):
    def columns():
        return page.locator("[role=img]").evaluate_all(
            "all => all.map(grid => getComputedStyle(grid).gridTemplateColumns.split(' ').length)"
        )

    assert columns() == [10, 25]
    page.set_viewport_size({"width": 360, "height": 800})
    assert columns() == [5, 10]
    assert page.evaluate("document.documentElement.scrollWidth") <= 360  # nothing hangs over


LOOKS = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const alphas = data.filter((_, i) => i % 4 === 3);
  const strongest = 4 * alphas.indexOf(Math.max(...alphas));
  const ground = getComputedStyle(canvas).backgroundColor.match(/\\d+/g).map(Number);
  return [ground, [...data.slice(strongest, strongest + 3)]];
}"""


def test_a_dark_page_has_a_dark_ground_and_brighter_colors(page, pad, shown):
    pad.picture = drawn(7)
    send(page, shown)
    canvas = page.locator("canvas").first
    ground, color = canvas.evaluate(LOOKS)
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    page.wait_for_timeout(300)  # some frames
    dark_ground, dark_color = canvas.evaluate(LOOKS)
    assert min(ground) > 200 and max(dark_ground) < 60
    assert sum(dark_color) > sum(color) + 100
