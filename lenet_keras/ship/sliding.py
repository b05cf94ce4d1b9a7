"""A window to slide over a digit in a notebook, and the feature map that fills meanwhile.

>>> window = SlidingWindow(image, kernel)
>>> window  # the last line of a cell: drag the window, change a weight
>>> window.kernel

The browser computes and draws (sliding.js, sliding.css, and of the pad's code what both need);
Python knows the kernel.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lenet_keras.figures import SIGNED, YELLOW, png_of, say
from lenet_keras.ship.widget import Widget, joined, traitlets

__all__ = ["SlidingWindow"]


class SlidingWindow(Widget):
    """A digit, a kernel, and the feature map that cross-correlation makes of them, place by place.

    With the mouse, a pen or a finger the window is dragged over the digit; with the keyboard the
    arrow keys move it. Each of the kernel's weights can be changed. Where no widget runs, a still
    picture stands for it, with the whole map.

    Attributes:
        kernel: the weights, rows of numbers, as they are now. May be set, and is then shown.

    Args:
        image: float [H, W] from 0, paper, to 1, ink.
        kernel: float [K, K].
    """

    _esm = joined("pad.js", "keys.js", "sliding.js")
    _css = joined("sliding.css")

    image: traitlets.List[list[float]] = traitlets.List().tag(sync=True)
    kernel: traitlets.List[list[float]] = traitlets.List().tag(sync=True)

    def __init__(self, image: np.ndarray, kernel: np.ndarray) -> None:
        super().__init__(image=np.round(image, 4).tolist(), kernel=np.round(kernel, 4).tolist())

    def feature_map(self) -> np.ndarray:
        """Every answer of the kernel: float64 [H - K + 1, W - K + 1]."""
        kernel = np.array(self.kernel, float)
        windows = np.lib.stride_tricks.sliding_window_view(np.array(self.image), kernel.shape)
        return np.einsum("rcij,ij->rc", windows, kernel)

    def __repr__(self) -> str:
        return "SlidingWindow: run this cell in JupyterLab, and drag the window over the digit"

    def still_png(self) -> bytes:
        figure = Figure(figsize=(8, 2.8), layout="constrained")
        digit, weights, answers = figure.subplots(1, 3)
        digit.imshow(self.image, cmap="gray_r", vmin=0, vmax=1)
        size = len(self.kernel)
        digit.add_patch(Rectangle((-0.5, -0.5), size, size, fill=False, ec=YELLOW, lw=3))
        found = self.feature_map()
        for axes, values, name in (
            (weights, np.array(self.kernel), say("kernel")),
            (answers, found, say("feature map")),
        ):
            limit = float(np.abs(values).max()) or 1.0
            axes.imshow(values, cmap=SIGNED, vmin=-limit, vmax=limit)
            axes.set_title(name)
        digit.set_title(say("digit, and the window"))
        for axes in (digit, weights, answers):
            axes.set(xticks=[], yticks=[])
        return png_of(figure, dpi=90)
