"""What the notebook's widgets share: their code in one text, a picture for where none runs."""

from __future__ import annotations

import base64
from pathlib import Path

try:
    import anywidget
    import traitlets
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "The notebook's widgets need anywidget: pip install 'lenet-keras[notebooks]'."
    ) from error

__all__ = ["Widget", "joined", "traitlets"]

HERE = Path(__file__).parent


def joined(*names: str) -> str:
    """These files, one after the other: a widget's code has no file beside it to import from."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


class Widget(anywidget.AnyWidget):
    """A widget that also shows a still picture, as in a notebook saved and looked at elsewhere."""

    def still_png(self) -> bytes:
        """The widget as it is now, as a PNG file's bytes."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: dict) -> tuple[dict, dict] | None:
        shown = super()._repr_mimebundle_(**kwargs)
        if shown is not None:
            shown[0]["image/png"] = base64.b64encode(self.still_png()).decode()
        return shown
