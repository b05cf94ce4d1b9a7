"""A hand for the tests: digits as a person draws them, on a pad in a browser or without one.

``pad`` is a page or an element that holds one pad.
"""

import hashlib
import re

import numpy as np
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import expect

# How a person draws them: strokes of points from 0 to 1.
STROKES = {
    0: [[(0.5, 0.15), (0.32, 0.25), (0.27, 0.5), (0.33, 0.76), (0.5, 0.86), (0.67, 0.76),
         (0.73, 0.5), (0.68, 0.25), (0.5, 0.15)]],
    1: [[(0.44, 0.24), (0.52, 0.15), (0.52, 0.85)]],  # a long flag makes it a 7: limits.py
    2: [[(0.3, 0.32), (0.38, 0.18), (0.55, 0.15), (0.68, 0.27), (0.64, 0.44), (0.45, 0.65),
         (0.28, 0.84), (0.5, 0.83), (0.74, 0.84)]],
    3: [[(0.3, 0.22), (0.48, 0.14), (0.66, 0.22), (0.66, 0.38), (0.47, 0.48), (0.66, 0.57),
         (0.7, 0.72), (0.52, 0.86), (0.3, 0.8)]],
    4: [[(0.42, 0.15), (0.28, 0.55), (0.72, 0.55)], [(0.62, 0.3), (0.6, 0.88)]],
    5: [[(0.68, 0.16), (0.36, 0.16), (0.33, 0.46), (0.52, 0.42), (0.68, 0.54), (0.67, 0.73),
         (0.5, 0.86), (0.3, 0.8)]],
    6: [[(0.62, 0.14), (0.42, 0.32), (0.31, 0.58), (0.36, 0.8), (0.54, 0.86), (0.68, 0.73),
         (0.63, 0.56), (0.46, 0.53), (0.33, 0.66)]],
    7: [[(0.27, 0.18), (0.72, 0.17), (0.57, 0.48), (0.45, 0.86)]],
    8: [[(0.64, 0.24), (0.5, 0.14), (0.35, 0.24), (0.4, 0.4), (0.6, 0.56), (0.66, 0.74),
         (0.5, 0.87), (0.34, 0.74), (0.42, 0.55), (0.6, 0.4), (0.64, 0.24)]],
    9: [[(0.66, 0.3), (0.52, 0.16), (0.36, 0.26), (0.38, 0.45), (0.54, 0.48), (0.66, 0.32),
         (0.66, 0.55), (0.58, 0.86)]],
    "A": [[(0.22, 0.87), (0.5, 0.13), (0.78, 0.87)], [(0.32, 0.62), (0.68, 0.62)]],
}  # fmt: skip


def drawn(what, side=280, pen=22):
    """The same without a browser, corners sharp: uint8 [side, side], dark on white."""
    image = Image.new("L", (side, side), 255)
    for stroke in STROKES[what]:
        ImageDraw.Draw(image).line([(side * x, side * y) for x, y in stroke], 0, pen, "curve")
    return np.asarray(image)


def curve(stroke):
    """The stroke as a hand would draw it: a Catmull-Rom curve through its points."""
    a, b, c, d = (
        np.array([stroke[0], *stroke, stroke[-1]])[i : len(stroke) - 1 + i, None] for i in range(4)
    )
    t = np.linspace(0, 1, 6)[:, None]
    points = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * (b - c) + d - a) * t**3
    return points.reshape(-1, 2) / 2


def on_the_pad(pad, points):
    """Where points of the pad, from 0 to 1, are on the page."""
    box = pad.locator(".pad").bounding_box()
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]


def trace(pad, points, lift=True):
    """The mouse goes down at the first point, on to the others, and up."""
    mouse, (first, *others) = pad.locator(".pad").page.mouse, on_the_pad(pad, points)
    mouse.move(*first)
    mouse.down()
    for place in others:
        mouse.move(*place)
    if lift:
        mouse.up()


def draw(pad, what, scale=1.0, at=(0.0, 0.0)):
    """With the mouse; smaller, and from another place of the pad, if that is said."""
    for stroke in STROKES[what]:
        trace(pad, curve(stroke) * scale + at)


def draw_by_finger(pad, what):
    """A single stroke, while a palm lies on the pad, which draws nothing."""
    page = pad.locator(".pad").page
    touchscreen = page.context.new_cdp_session(page)

    def touch(kind, *points):
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        touchscreen.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    (stroke,) = STROKES[what]
    *finger, palm = on_the_pad(pad, [*curve(stroke), (0.9, 0.9)])
    touch("touchStart", finger[0])
    touch("touchStart", finger[0], palm)
    for i, point in enumerate(finger):
        touch("touchMove", point, (palm[0], palm[1] - 4 * i))
    touch("touchEnd")


def ink(canvas):
    """A hash of what is on the canvas at this moment, where the answer to it comes later."""
    return hashlib.sha256(canvas.evaluate("canvas => canvas.toDataURL()").encode()).hexdigest()


def answer_is(pad, digit):
    expect(pad.locator(".digit")).to_have_text(str(digit))


# in one look, for the answer may still change: what is said, the best bar's texts, every bar's
SAID = """pad => [".answer", ".bars li.best span", ".bars li span:last-child"].map((selector) =>
  [...pad.querySelectorAll(selector)].map((each) => each.textContent))"""


def it_says(pad, digit):
    """The sentence and the bars agree, and nothing is as sure as 100.0 %."""
    (said,), best, bars = pad.evaluate(SAID)
    said = re.fullmatch(r"It reads (\d), (over )?(\d+\.\d)\s% sure\.", said)
    assert int(said[1]) == digit
    sure = f"{'>' if said[2] else ''}{said[3]}\N{NO-BREAK SPACE}%"
    assert best == [str(digit), sure]
    numbers = [float(bar.split("\N{NO-BREAK SPACE}")[0].strip(">")) for bar in bars]
    assert sum(numbers) == pytest.approx(100, abs=0.6) and max(numbers) < 100


# WCAG's contrast of an element's edge with what is around it and in it, colors laid over colors
CONTRAST = """element => {
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  const luminance = (...colors) => {
    for (context.fillStyle of colors) context.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((byte) => {
      const value = byte / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const around = [];
  for (let each = element.parentElement; each; each = each.parentElement) {
    around.unshift(getComputedStyle(each).backgroundColor);
  }
  const { backgroundColor, borderTopColor, borderTopStyle } = getComputedStyle(element);
  if (borderTopStyle !== "solid") return 1;
  const edge = luminance(...around, backgroundColor, borderTopColor);
  return Math.min(...[luminance(...around), luminance(...around, backgroundColor)].map(
    (other) => Math.max(edge, other) / Math.min(edge, other)));
}"""
