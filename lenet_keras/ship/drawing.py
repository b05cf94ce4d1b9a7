"""A pad to draw on in a notebook, which says what it reads while you draw.

>>> pad = DrawingPad()
>>> pad  # the last line of a cell: here it appears; now draw
>>> pad.answer.label
7

The browser draws and shows (pad.js, drawing.js, drawing.css); Python reads.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

try:
    import anywidget
    import traitlets
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "The drawing pad needs anywidget: pip install 'lenet-keras[notebooks]'."
    ) from error

from lenet_keras.ship.classifier import Answer, Classifier, ClassifyError, check_picture

__all__ = ["DrawingPad"]

HERE = Path(__file__).parent
SIDE = 280  # of a drawing, whatever the screen: one drawing, one answer


def _picture_to_browser(picture: np.ndarray, _: object) -> dict:
    height, width = picture.shape
    return {"height": height, "width": width, "grey": picture.tobytes()}


def _picture_from_browser(sent: dict, _: object) -> np.ndarray:
    return np.frombuffer(sent["grey"], np.uint8).reshape(sent["height"], sent["width"])


def _answer_to_browser(answer: Answer, _: object) -> dict:
    return {
        "label": answer.label,
        "probabilities": answer.probabilities.tolist(),
        "normalized": answer.normalized.tobytes(),
    }


class DrawingPad(anywidget.AnyWidget):
    """A drawing pad for JupyterLab and other notebooks. Display it, draw a digit, read on.

    With the mouse, a pen or a finger. With the keyboard: arrow keys move the pen, the space bar
    puts it down or lifts it, U or Ctrl+Z undoes, C or Escape clears. A photo can be opened too.

    Both traits can be observed; a new picture has its answer before anybody hears of either.

    Attributes:
        picture: uint8 [H, W], what the network is shown: the drawing, dark on white, 280 by 280,
            or a photo. May be set, and then the pad shows it.
        answer: the ``Answer`` to it; its label is None while there is no ink.

    Args:
        classifier: who reads; without it, a ``Classifier`` with lenet-keras's own digit.onnx.
    """

    # a widget's code is one text, which has no file beside it to import from
    _esm = "\n".join((HERE / name).read_text(encoding="utf-8") for name in ("pad.js", "drawing.js"))
    _css = HERE / "drawing.css"

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
