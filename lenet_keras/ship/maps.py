"""Feature maps that follow a drawing pad: what a network's layers make of a digit as it grows.

>>> outputs = {name: model.get_layer(name).output for name in ("tanh1", "tanh2")}
>>> display(pad, FeatureMaps(pad, keras.Model(model.input, outputs), example=image))
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from lenet_keras.figures import SIGNED, png_of, say
from lenet_keras.ship.drawing import DrawingPad
from lenet_keras.ship.widget import Widget, joined, traitlets

__all__ = ["FeatureMaps"]


def _to_browser(maps: dict[str, np.ndarray], _: object) -> dict[str, bytes]:
    return {name: (127 * m.clip(-1, 1)).round().astype("i1").tobytes() for name, m in maps.items()}


def _in_two_rows(maps: np.ndarray) -> np.ndarray:
    n, height, width = maps.shape
    tiles = np.full((2, -(-n // 2), height + 1, width + 1), np.nan)  # a pixel of nothing between
    tiles.reshape(-1, height + 1, width + 1)[:n, 1:, 1:] = maps
    return np.concatenate(np.concatenate(tiles, axis=1), axis=1)


class FeatureMaps(Widget):
    """The feature maps of what is on a pad: blue above 0, orange below, full color at 1 and -1.

    The pad sends its latest drawing when Python is done with the one before: no pass through the
    network waits, however fast one draws. Where no widget runs, a still picture stands for it.

    Attributes:
        maps: layer to float [maps, height, width]; empty while the pad is.
        trouble: what the network failed with, or nothing; it is shown in place of maps.

    Args:
        pad: is followed.
        network: a Keras model with a dictionary of outputs, or a function: from a digit, uint8
            [1, 28, 28], to maps of each layer, [1, height, width, maps].
        example: uint8 [28, 28], what the still picture is of while the pad is empty.
    """

    _esm = joined("pad.js", "maps.js")  # Python computes, the browser colors
    _css = joined("maps.css")

    shapes = traitlets.Dict().tag(sync=True)  # so that there are places before there are maps
    maps = traitlets.Dict().tag(sync=True, to_json=_to_browser)
    trouble = traitlets.Unicode().tag(sync=True)

    def __init__(self, pad: DrawingPad, network: Callable, example: np.ndarray) -> None:
        self._pad, self._network, self._example = pad, network, example
        super().__init__(shapes={name: m.shape for name, m in self._maps_of(example).items()})
        pad.observe(self._follow, "answer")
        self._follow()

    def _maps_of(self, digit: np.ndarray) -> dict[str, np.ndarray]:
        layers = self._network(digit[None])
        return {name: np.asarray(m)[0].transpose(2, 0, 1) for name, m in layers.items()}

    def _follow(self, _: object = None) -> None:
        answer, maps, trouble = self._pad.answer, {}, ""
        try:
            maps = self._maps_of(answer.normalized) if answer.has_ink else {}
        except Exception as error:  # of a function that is not ours; the pad goes on
            trouble = f"{type(error).__name__}: {error}"
        self.maps, self.trouble = maps, trouble

    def __repr__(self) -> str:
        return "FeatureMaps: run this cell in JupyterLab, and draw on the pad above"

    def still_png(self) -> bytes:
        digit = self._pad.answer.normalized if self.maps else self._example
        tiles = [_in_two_rows(maps) for maps in self._maps_of(digit).values()]
        heights = [len(tile) / tile.shape[1] for tile in tiles]
        figure = Figure(figsize=(9, 2.6), layout="constrained")
        grid = figure.add_gridspec(len(tiles), 2, width_ratios=(1, 4), height_ratios=heights)
        bare = {"xticks": [], "yticks": [], "frame_on": False}
        figure.add_subplot(grid[:, 0], **bare).imshow(digit, cmap="gray_r", vmin=0, vmax=255)
        for row, (name, shape) in enumerate(self.shapes.items()):
            axes = figure.add_subplot(grid[row, 1], **bare)
            axes.imshow(tiles[row], cmap=SIGNED, vmin=-1, vmax=1)
            axes.set_title(say("{}: {} maps of {}×{}").format(name, *shape), loc="left")
        return png_of(figure, dpi=90)
