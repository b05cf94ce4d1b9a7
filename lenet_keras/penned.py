"""Digits drawn by a pen of our own, as people write them whom MNIST's makers never asked.

MNIST is American handwriting of the 1990s: its 1 is a bare stroke. Elsewhere a 1 has a flag,
often as long as half the stem, and sometimes a foot; a 7 has a bar; a 4 is open. Each form below
draws its lines anew every time; then all of the digit is slanted, bent and written with another
pen, and brought to MNIST's normal form (LeCun and others 1998, section III.A).

Letters, scribbles, frames and two digits side by side are here too, and what a camera sees on
paper with nothing written on it, lines, squares, shadows and specks: what is no digit at all.

A stroke is a list of points (x to the right, y down) in a square of 1 by 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lenet_keras.data import Split

__all__ = ["NO_DIGIT", "penned_digits", "penned_others"]

Rng = np.random.Generator
Stroke = np.ndarray  # float64 [K, 2]
Form = Callable[[Rng], list[Stroke]]

SIDE, BOX = 28, 20  # of the picture, and of the square that the ink fills
POINTS = 72  # that a digit's strokes are drawn with, together
SHARP, CLOUDY = 1.5, 6.0  # an edge is no wider, in pixels: a pen's, and a shadow's or speck's
AT_ONCE = 100  # digits drawn together: about 50 MB
NO_DIGIT = -1  # the label of what is none


def line(*points: tuple[float, float]) -> Stroke:
    return np.array(points, float)


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> Stroke:
    """Part of an ellipse; degrees, 0 to the right, 90 below."""
    angle = np.deg2rad(np.linspace(start, end, 16))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def joined(*strokes: Stroke) -> Stroke:
    return np.concatenate(strokes)


def turned(stroke: Stroke, degrees: float) -> Stroke:
    """Clockwise, around (0, 0)."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return stroke @ np.array([[cos, sin], [-sin, cos]])


# --- the ten digits ----------------------------------------------------------------------


def zero(rng: Rng) -> list[Stroke]:
    u = rng.uniform
    w, start = u(0.22, 0.48), u(-130, -40)
    around = arc(0.5, 0.5, w, 0.5, start, start - u(335, 400))
    around[:, 0] += np.linspace(0, u(-0.06, 0.1), len(around))  # it seldom closes exactly
    return [around]


def one(rng: Rng, flag: float | None = None, foot: float | None = None) -> list[Stroke]:
    """flag, foot: their lengths, the stem being 1; drawn at random if not said."""
    u = rng.uniform
    if flag is None:
        flag = u(0.1, 0.8) if rng.random() < 0.8 else 0.0
    if foot is None:
        foot = u(0.25, 0.8) if rng.random() < 0.3 else 0.0
    top, below = (0.0, 0.0), np.deg2rad(u(28 + 20 * flag, 68))  # a long one falls steeply
    end = (-flag * np.cos(below), flag * np.sin(below))
    sag = u(-0.12, 0.15) * flag
    strokes = [line(top, (u(-0.02, 0.02), 0.5), (u(-0.05, 0.05), 1))]
    if flag:
        strokes = [joined(line(end, (end[0] / 2, end[1] / 2 + sag)), strokes[0])]
    if foot:
        left, tilt = foot * u(0.35, 0.65), u(-0.04, 0.04)
        x = strokes[0][-1, 0]
        strokes.append(line((x - left, 1 + tilt), (x + foot - left, 1 - tilt)))
    return strokes


def two(rng: Rng) -> list[Stroke]:
    u = rng.uniform
    w, ry = u(0.28, 0.42), u(0.22, 0.32)
    top = arc(0.45, ry, w, ry, u(165, 215), 360 + u(0, 35))
    left = u(-0.05, 0.15)
    if rng.random() < 0.4:  # a loop at the bottom left
        loop = arc(left + 0.12, 0.9, u(0.1, 0.16), u(0.07, 0.12), 20, -250)
        end = line((0.5, u(0.92, 1.0)), (u(0.8, 1.1), u(0.85, 1.05)))
        return [joined(top, loop, end)]
    end = line((0.45, 1 + u(-0.06, 0.06)), (u(0.75, 1.1), 1 + u(-0.08, 0.05)))
    return [joined(top, line((left, 1)), end)]


def three(rng: Rng) -> list[Stroke]:
    u = rng.uniform
    middle, w = u(0.4, 0.52), u(0.3, 0.45)
    if rng.random() < 0.25:  # a flat top
        top = line((u(0, 0.15), 0), (0.75, u(-0.03, 0.03)), (u(0.3, 0.45), middle))
    else:
        top = arc(0.4, middle / 2, w * u(0.75, 1), middle / 2, u(185, 235), 360 + u(70, 95))
    ry = (1 - middle) / 2
    bottom = arc(0.38, middle + ry, w * u(0.9, 1.2), ry, u(-95, -60), u(120, 175))
    if rng.random() < 0.3:  # a small loop where they meet
        top = joined(top, line((u(0.1, 0.25), middle)))
    return [joined(top, bottom)]


def four(rng: Rng) -> list[Stroke]:
    u = rng.uniform
    bar, right = u(0.48, 0.72), u(0.5, 0.75)
    end = line((u(0.85, 1.15), bar + u(-0.08, 0.05)))
    kind = rng.random()
    if kind < 0.25:  # closed
        left = line((right, 0), (u(-0.05, 0.1), bar))
        return [joined(left, end), line((right, 0), (right + u(-0.06, 0.06), 1))]
    if kind < 0.45:  # its left a bowl
        left = arc(0.42, 0.0, u(0.3, 0.42), bar, 185, 95)
    else:
        left = line((u(0.0, 0.4), u(-0.05, 0.15)), (u(-0.05, 0.08), bar))
    stem = line((right + u(-0.02, 0.2), u(-0.1, bar - 0.15)), (right + u(-0.15, 0.05), 1))
    if kind > 0.9:  # in one line, like a flash of lightning
        return [joined(left, line((right + 0.1, bar - 0.02)), stem)]
    return [joined(left, end), stem]


def five(rng: Rng) -> list[Stroke]:
    u = rng.uniform
    left, middle = u(0.08, 0.25), u(0.36, 0.46)
    w, ry = u(0.3, 0.48), (1 - middle) / 2 + 0.05
    bowl = arc(0.38, 1 - ry, w, ry, u(-140, -100), u(110, 170))
    down = line((left, 0.02), (left + u(-0.1, 0.02), middle))
    bar = line((u(0.7, 1.05), u(-0.1, 0.04)), (left + u(-0.03, 0.06), 0))
    if rng.random() < 0.5:
        return [joined(bar, down, bowl)]
    bar[:, 1] += u(-0.05, 0.03)
    return [joined(down, bowl), bar]


def six(rng: Rng) -> list[Stroke]:
    u = rng.uniform
    ry, w = u(0.14, 0.3), u(0.18, 0.42)
    top, left = (u(0.3, 0.95), u(-0.05, 0.1)), 0.5 - w
    bulge = u(-0.02, 0.2)
    back = line(top, ((top[0] + left) / 2 - bulge, 0.35), (left - 0.01, 0.68))
    bowl = arc(0.5, 1 - ry, w, ry, 180, 180 - u(290, 410))
    bowl += np.linspace((0, 0), (u(-0.05, 0.1), u(-0.08, 0.05)), len(bowl))
    return [joined(back, bowl)]


def seven(rng: Rng, bar: bool | None = None) -> list[Stroke]:
    """bar: with a bar across; drawn at random if not said."""
    u = rng.uniform
    bar = rng.random() < 0.55 if bar is None else bar
    right, foot = (u(0.6, 1.0), u(-0.1, 0.05)), (u(0.15, 0.6), 1.0)
    bend = u(-0.04, 0.14)
    knee = ((right[0] + foot[0]) / 2 - bend, 0.5)
    top = line((0, u(-0.02, 0.1)), (0.45, u(-0.03, 0.06)), right)
    if rng.random() < 0.3:  # a serif
        top = joined(line((u(-0.03, 0.05), u(0.12, 0.28))), top)
    strokes = [joined(top, line(knee, foot))]
    if bar:
        half, tilt, y = u(0.13, 0.42), u(-0.12, 0.1), u(-0.12, 0.12)
        x = knee[0] + u(-0.05, 0.08) - y * (right[0] - foot[0])
        strokes.append(line((x - half, 0.5 + y + tilt), (x + half, 0.5 + y - tilt)))
    return strokes


def eight(rng: Rng) -> list[Stroke]:
    u = rng.uniform
    w, middle = u(0.26, 0.42), u(0.42, 0.54)
    upper = u(0.65, 1.0)
    if rng.random() < 0.2:  # two circles
        a, ry = u(-120, -60), (1 - middle) / 2
        top = arc(0.5, middle / 2, w * upper, middle / 2, a, a - u(350, 380))
        return [top, arc(0.5, middle + ry, w, ry, a, a - u(350, 380))]
    # one line, from the upper right and back
    angle = np.deg2rad(np.linspace(u(15, 60), 360 + u(-5, 45), 40))
    y = (1 - np.cos(angle)) / 2
    x = np.sin(2 * angle) * np.where(y < 0.5, -w * upper, -w) * 0.95
    y = np.where(y < 0.5, 2 * y * middle, middle + (2 * y - 1) * (1 - middle))
    flip = 1 if rng.random() < 0.85 else -1
    return [np.stack([0.5 + flip * x, y], axis=1)]


def nine(rng: Rng) -> list[Stroke]:
    u = rng.uniform
    ry, w, start = u(0.19, 0.3), u(0.22, 0.42), u(-70, 0)
    loop = arc(0.5, ry, w, ry, start, -360 + u(-20, 45))
    x = 0.5 + w
    kind = rng.random()
    if kind < 0.5:  # a straight tail
        tail = line((x, u(0, 0.2)), (x + u(-0.3, 0.1), 1))
    elif kind < 0.75:  # a bent one
        tail = line((x, ry), (x - u(0, 0.1), 0.65), (x - u(0.2, 0.5), 1))
    else:  # curled like a g's
        r = u(0.25, 0.42)
        tail = joined(line((x, ry)), arc(x - r, 0.75, r, 0.25, 0, u(90, 165)))
    return [joined(loop, tail)]


DIGITS: list[Form] = [zero, one, two, three, four, five, six, seven, eight, nine]

# How often each is drawn, of 20: a 1 with a flag is what MNIST's people never wrote.
OFTEN = (0, 1, 1, 1, 1, 1, 1, 2, 3, 4, 4, 5, 6, 6, 6, 7, 7, 7, 8, 9)


# --- and what is none --------------------------------------------------------------------

# Without those that are a digit's twins, or nearly: B D G I J O Q S Z, b g i j l o q s z.
LETTERS: dict[str, list[Stroke]] = {
    "A": [line((0, 1), (0.45, 0), (0.9, 1)), line((0.2, 0.6), (0.7, 0.6))],
    "C": [arc(0.5, 0.5, 0.5, 0.5, -50, -310)],
    "E": [line((0.8, 0), (0, 0), (0, 1), (0.8, 1)), line((0, 0.5), (0.6, 0.5))],
    "F": [line((0.8, 0), (0, 0), (0, 1)), line((0, 0.5), (0.6, 0.5))],
    "H": [line((0, 0), (0, 1)), line((0.8, 0), (0.8, 1)), line((0, 0.5), (0.8, 0.5))],
    "K": [line((0, 0), (0, 1)), line((0.8, 0), (0, 0.55), (0.8, 1))],
    "L": [line((0, 0), (0, 1), (0.7, 1))],
    "M": [line((0, 1), (0.1, 0), (0.5, 0.6), (0.9, 0), (1, 1))],
    "N": [line((0, 1), (0, 0), (0.8, 1), (0.8, 0))],
    "P": [line((0, 1), (0, 0)), arc(0, 0.27, 0.65, 0.27, -90, 90)],
    "R": [line((0, 1), (0, 0)), joined(arc(0, 0.27, 0.65, 0.27, -90, 90), line((0.7, 1)))],
    "T": [line((0, 0), (0.9, 0)), line((0.45, 0), (0.45, 1))],
    "U": [joined(line((0, 0)), arc(0.4, 0.65, 0.4, 0.35, 180, 0), line((0.8, 0)))],
    "V": [line((0, 0), (0.45, 1), (0.9, 0))],
    "W": [line((0, 0), (0.25, 1), (0.5, 0.2), (0.75, 1), (1, 0))],
    "X": [line((0, 0), (0.8, 1)), line((0.8, 0), (0, 1))],
    "Y": [line((0, 0), (0.45, 0.5), (0.45, 1)), line((0.9, 0), (0.45, 0.5))],
    "a": [arc(0.4, 0.5, 0.4, 0.5, -30, -350), line((0.8, 0), (0.8, 0.8), (0.95, 1))],
    "d": [arc(0.4, 0.7, 0.4, 0.3, 0, -360), line((0.8, 0), (0.8, 1))],
    "e": [joined(line((0.1, 0.5), (0.9, 0.5)), arc(0.5, 0.5, 0.45, 0.5, 0, -310))],
    "f": [joined(arc(0.55, 0.2, 0.25, 0.2, 0, -180), line((0.3, 1))), line((0, 0.45), (0.6, 0.45))],
    "h": [line((0, 0), (0, 1)), joined(arc(0.3, 0.75, 0.3, 0.3, 180, 360), line((0.6, 1)))],
    "m": [
        line((0, 0), (0, 0.8)),
        joined(arc(0.3, 0.3, 0.3, 0.25, 180, 360), line((0.6, 0.8))),
        joined(arc(0.9, 0.3, 0.3, 0.25, 180, 360), line((1.2, 0.8))),
    ],
    "n": [line((0, 0), (0, 1)), joined(arc(0.4, 0.4, 0.4, 0.4, 180, 360), line((0.8, 1)))],
    "p": [line((0, 0), (0, 1)), arc(0.35, 0.3, 0.35, 0.3, -180, 180)],
    "r": [line((0, 0), (0, 1)), arc(0.35, 0.35, 0.35, 0.35, 180, 310)],
    "t": [line((0.35, 0), (0.35, 0.9), (0.6, 1)), line((0, 0.3), (0.7, 0.3))],
    "u": [joined(line((0, 0)), arc(0.4, 0.6, 0.4, 0.4, 180, 0), line((0.8, 0), (0.8, 1)))],
    "y": [line((0, 0), (0.45, 0.55)), line((0.9, 0), (0.25, 1))],
}


def letter(rng: Rng) -> list[Stroke]:
    return LETTERS[rng.choice(list(LETTERS))]


def pair(rng: Rng) -> list[Stroke]:
    """Two digits side by side."""
    narrow = np.array([rng.uniform(0.6, 1), 1])
    right = np.array([rng.uniform(0.9, 1.4), rng.uniform(-0.15, 0.15)])
    first, second = (DIGITS[digit](rng) for digit in rng.integers(0, 10, 2))
    return [stroke * narrow for stroke in first] + [stroke * narrow + right for stroke in second]


def scribble(rng: Rng) -> list[Stroke]:
    return [rng.uniform(0, 1, (rng.integers(8, 20), 2))]


def frame(rng: Rng) -> list[Stroke]:
    height, width = 1, rng.uniform(0.8, 1.8)  # a narrow one would be a 0
    return [line((0, 0), (width, 0), (width, height), (0, height), (0, 0))]


def ruled(rng: Rng) -> list[Stroke]:
    """Parallel lines, whole or broken; one or two lie, as one that stands would be a 1."""
    n = int(rng.integers(1, 8))
    turn = rng.uniform(-20, 20) + 90 * (n > 2 and rng.random() < 0.3)
    dashes = rng.integers(2, 24 // n + 1) if rng.random() < 0.3 else 1
    ends = np.linspace(0, 1, 2 * dashes).reshape(-1, 2)
    rows = np.linspace(0, rng.uniform(0.7, 1.3), n)
    return [turned(line((begin, y), (end, y)), turn) for y in rows for begin, end in ends]


def squared(rng: Rng) -> list[Stroke]:
    """Squares, at least two either way: one could be a 0, and two of them an 8."""
    out = rng.uniform(0, 0.3)  # so far the lines go beyond the last squares
    across, down = np.linspace(0, 1, rng.integers(3, 6)), np.linspace(0, 1, rng.integers(3, 6))
    rows = [line((-out, y), (1 + out, y)) for y in across]
    return rows + [line((x, -out), (x, 1 + out)) for x in down]


def shadow(rng: Rng) -> list[Stroke]:
    """A wedge or a bar, filled to and fro; one that stands is too wide for a 1."""
    stands = rng.random() < 0.5
    left, right = rng.uniform(0.65 if stands else 0.1, 1), rng.uniform(0, 1)
    x = np.tile([0, 1, 1, 0], 3)
    y = np.repeat(np.linspace(0, 1, 6), 2) * (left + (right - left) * x)
    turn = 90 * stands + 180 * rng.integers(0, 2) + rng.uniform(-20, 20)
    return [turned(np.stack([x, y], axis=1), turn)]


def specks(rng: Rng) -> list[Stroke]:
    """Dust, or where their edges are soft, clouds."""
    return [line(p, p + 0.02) for p in rng.uniform(0, 1, (rng.integers(6, 25), 2))]


PAPER: list[Form] = [ruled, squared, shadow, specks]  # with nothing written on it
OTHERS: list[Form] = [*(letter, pair) * 4, scribble, frame, *PAPER]
SOFT: list[Form] = [shadow, specks]


# --- hand and pen ------------------------------------------------------------------------


def by_hand(strokes: list[Stroke], rng: Rng, unsteady: float | None = None) -> np.ndarray:
    """The strokes as one hand would write them.

    Args:
        strokes: of one digit.
        rng: whose hand it is.
        unsteady: how far the hand goes astray, of the digit's height; drawn at random if not said.

    Returns:
        float64 [POINTS, 2], evenly along all strokes together.
    """
    lengths = [np.hypot(*np.diff(stroke, axis=0).T).sum() for stroke in strokes]
    shares = np.maximum(3, np.round(POINTS * np.array(lengths) / sum(lengths)).astype(int))
    while left := POINTS - shares.sum():  # the longest gets or gives them
        shares[np.argmax(shares)] += np.sign(left)
    round_off = int(rng.integers(0, 5))
    points = np.concatenate(
        [rounded(evenly(stroke, n), round_off) for stroke, n in zip(strokes, shares)]
    )
    points = points - 0.5
    bend = np.zeros_like(points)  # smooth over the plane, so that what met still meets
    unsteady = rng.uniform(0.01, 0.04) if unsteady is None else unsteady
    for _ in range(4):
        wave, phase = rng.normal(0, 3, 2), rng.uniform(0, 2 * np.pi)
        bend += rng.normal(0, unsteady, 2) * np.sin(points @ wave + phase)[:, None]
    points = points + bend
    slant, turn = rng.normal(0.12, 0.2), rng.normal(0, 6)
    points[:, 0] = points[:, 0] * np.exp(rng.normal(-0.2, 0.25)) - slant * points[:, 1]
    return turned(points, turn)


def evenly(stroke: Stroke, n: int) -> Stroke:
    """n points along a stroke, all the same distance apart."""
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(stroke, axis=0).T))])
    where = np.linspace(0, along[-1], n)
    return np.stack([np.interp(where, along, stroke[:, axis]) for axis in (0, 1)], axis=1)


def rounded(stroke: Stroke, times: int) -> Stroke:
    """Corners give way to the hand's swing; the ends stay."""
    for _ in range(times):
        inner = (stroke[:-2] + 2 * stroke[1:-1] + stroke[2:]) / 4
        stroke = np.concatenate([stroke[:1], inner, stroke[-1:]])
    return stroke


def inked(points: np.ndarray, rng: Rng, softest: np.ndarray | float = SHARP) -> np.ndarray:
    """Lines as ink in MNIST's normal form: 20 pixels long, its mass in the middle.

    Args:
        points: float64 [N, POINTS, 2].
        softest: no edge is wider, in pixels; for all, or float64 [N, 1].

    Returns:
        uint8 [N, 28, 28].
    """
    n = len(points)
    radius = np.exp(rng.normal(np.log(1.45), 0.28, (n, 1))).clip(0.8, 2.5)
    soft = rng.uniform(0.8, softest, (n, 1))  # how many pixels wide the edge is
    low, high = points.min(axis=1), points.max(axis=1)
    size = (high - low).max(axis=1)[:, None, None]
    room = (BOX - 2 * radius - soft)[:, :, None]
    placed = (points - (low + high)[:, None] / 2) / size * room + (SIDE - 1) / 2
    # where the hand presses less, the line is thinner
    phase, speed = rng.uniform(0, 2 * np.pi, (n, 1)), rng.uniform(0.02, 0.12, (n, 1))
    wave = np.sin(np.arange(POINTS) * speed + phase)
    press = 1 - rng.uniform(0, 0.4, (n, 1)) * (1 + wave) / 2
    pixel = np.arange(SIDE)
    dx, dy = (((pixel - placed[:, :, axis, None]) / press[:, :, None]) ** 2 for axis in (0, 1))
    nearest = np.full((n, SIDE, SIDE), np.inf)
    for k in range(POINTS):
        np.minimum(nearest, dy[:, k, :, None] + dx[:, k, None, :], out=nearest)
    ink = ((radius[:, :, None] - np.sqrt(nearest)) / soft[:, :, None] + 0.5).clip(0, 1)
    images = np.rint(255 * ink / ink.max(axis=(1, 2), keepdims=True)).astype(np.uint8)
    return np.stack([centered(image) for image in images])


def centered(image: np.ndarray) -> np.ndarray:
    """Moved by whole pixels until pixel (14, 14) has the center of mass, if there is room."""
    moved, total = image, image.sum()
    for axis in (0, 1):
        mass = image.sum(axis=1 - axis)
        ink = np.flatnonzero(mass)
        by = int(np.rint(SIDE / 2 - mass @ np.arange(SIDE) / total))
        moved = np.roll(moved, np.clip(by, -ink[0], SIDE - 1 - ink[-1]), axis)
    return moved


def drawn(forms: Sequence[Form], rng: Rng) -> np.ndarray:
    """Each form once, uint8 [N, 28, 28]."""
    images = []
    for i in range(0, len(forms), AT_ONCE):
        part = forms[i : i + AT_ONCE]
        points = np.stack([by_hand(form(rng), rng) for form in part])
        softest = np.array([[CLOUDY if form in SOFT else SHARP] for form in part])
        images.append(inked(points, rng, softest))
    return np.concatenate(images)


def penned_digits(n: int, seed: int) -> Split:
    """n digits, each class as often as OFTEN says.

    Args:
        n: 1 or more.
        seed: the same seed, the same digits.

    Returns:
        uint8 [n, 28, 28] in MNIST's normal form, and their labels, OFTEN over and over.
    """
    labels = np.resize(OFTEN, n)
    images = drawn([DIGITS[label] for label in labels], np.random.default_rng((seed, 1)))
    return Split(images, labels)


def penned_others(n: int, seed: int) -> Split:
    """n pictures that are no digit: letters, two digits at once, scribbles, frames, empty paper.

    Args:
        n: 1 or more.
        seed: the same seed, the same pictures.

    Returns:
        uint8 [n, 28, 28] in MNIST's normal form; all their labels are NO_DIGIT.
    """
    forms = [OTHERS[i % len(OTHERS)] for i in range(n)]
    images = drawn(forms, np.random.default_rng((seed, 2)))
    return Split(images, np.full(n, NO_DIGIT))
