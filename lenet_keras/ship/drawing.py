"""A pad to draw on in a notebook, which says what it reads while you draw.

>>> pad = DrawingPad()
>>> pad  # the last line of a cell: here it appears; now draw
>>> pad.answer.label
7

The browser draws and shows (pad.js, pieces.js, keys.js, drawing.js, pad.css, drawing.css);
Python reads.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from lenet_keras.ship.classifier import Answer, Classifier, ClassifyError, check_picture
from lenet_keras.ship.widget import Widget, joined, traitlets

__all__ = ["DrawingPad"]

SIDE = 280  # of a drawing, whatever the screen: one drawing, one answer
INK, TINT, ACCENT = "#1c1c1a", "#e8e6e0", "#d55e00"  # of the still picture


def _picture_to_browser(picture: np.ndarray, _: object) -> dict:
    height, width = picture.shape
    return {"height": height, "width": width, "grey": picture.tobytes()}


def _picture_from_browser(sent: dict, _: object) -> np.ndarray:
    return np.frombuffer(sent["grey"], np.uint8).reshape(sent["height"], sent["width"])


def _answer_to_browser(answer: Answer, _: object) -> dict:
    return {
        "label": answer.label,
        "isDigit": answer.is_digit,
        "probabilities": answer.probabilities.tolist(),
        "normalized": answer.normalized.tobytes(),
    }


def still(picture: np.ndarray, answer: Answer) -> Image.Image:
    """The pad as a picture, RGB, 600 by 300: what is drawn, and ten bars beside it.

    Args:
        picture: uint8 [H, W].
        answer: what is said of it; without ink the bars are empty, and without a digit none is
            set off.
    """
    whole = Image.new("RGB", (600, 300), "white")
    whole.paste(ImageOps.pad(Image.fromarray(picture), (SIDE, SIDE), color=255), (10, 10))
    draw = ImageDraw.Draw(whole)
    draw.rounded_rectangle((9, 9, 290, 290), 9, outline="#8d8d8c")
    font = ImageFont.load_default(15)
    for digit, p in enumerate(answer.probabilities):
        y = 24 + 28 * digit
        best = answer.is_digit and digit == answer.label
        draw.text((316, y), str(digit), INK, font, "lm")
        draw.rounded_rectangle((338, y - 6, 590, y + 6), 3, TINT)
        if answer.has_ink and p > 0.01:
            draw.rounded_rectangle((338, y - 6, 338 + 252 * p, y + 6), 3, ACCENT if best else INK)
    return whole


class DrawingPad(Widget):
    """A drawing pad for JupyterLab and other notebooks. Display it, draw a digit, read on.

    With the mouse, a pen or a finger. With the keyboard: arrow keys move the pen, the space bar
    puts it down or lifts it, U or Ctrl+Z undoes, C or Escape clears. A photo can be opened too.

    On a photo the pen draws a box, and what is in it becomes the photo.

    Both traits can be observed; a new picture has its answer before anybody hears of either. Where
    no widget runs, as in a notebook saved and looked at elsewhere, a still picture stands for the
    pad: as it was when the cell ran.

    Attributes:
        picture: uint8 [H, W], what the network is shown: the drawing, dark on white, 280 by 280,
            or a photo. A drawing's strokes are moved and scaled before they are inked: the longer
            side of the box around them is 196 pixels long and in the middle, and the pen is 22
            pixels thick, so that a small drawing is no blob. May be set, and then the pad shows it.
        answer: the ``Answer`` to it; its label is None while there is no ink, and its is_digit
            False where it is not like any digit.

    Args:
        classifier: who reads; without it, a ``Classifier`` with lenet-keras's own digit.onnx.
    """

    _esm = joined("pad.js", "pieces.js", "keys.js", "drawing.js")
    _css = joined("pad.css", "drawing.css")

    picture = traitlets.Instance(np.ndarray).tag(
        sync=True,
        echo_update=False,  # the browser knows what it has just sent
        to_json=_picture_to_browser,
        from_json=_picture_from_browser,
    )
    answer = traitlets.Instance(Answer).tag(sync=True, to_json=_answer_to_browser)

    def __init__(self, classifier: Classifier | None = None) -> None:
        self._classifier = classifier or Classifier()
        blank = np.full((SIDE, SIDE), 255, np.uint8)
        super().__init__(picture=blank, answer=self._classifier(blank))

    def __repr__(self) -> str:
        return "DrawingPad: run this cell in JupyterLab, and draw"

    def still_png(self) -> bytes:
        png = io.BytesIO()
        still(self.picture, self.answer).save(png, "PNG", optimize=True)
        return png.getvalue()

    @traitlets.validate("picture")
    def _checked(self, proposal: dict) -> np.ndarray:
        picture = proposal["value"]
        try:
            check_picture(picture)
        except ClassifyError as error:
            raise traitlets.TraitError(str(error)) from None
        return picture

    @traitlets.observe("picture")
    def _read(self, change: dict) -> None:
        self.answer = self._classifier(change["new"])  # type: ignore[assignment]
