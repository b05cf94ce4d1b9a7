"""A slider for the learning rate, on a real valley: the cost along a line through the weights.

>>> valley = Valley(places, costs)
>>> valley  # the last line of a cell: choose a learning rate, play 20 steps
>>> valley.rate

The browser draws, and descends (valley.js, valley.css, and of the pad's code what it needs); Python
knows the costs, and descends in the same way for the still picture.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from scipy.interpolate import CubicSpline

from lenet_keras.figures import BLUE, GREY, ORANGE, png_of, say
from lenet_keras.ship.widget import Widget, joined, traitlets

__all__ = ["Valley"]

STEPS = 20  # and in valley.js
STILL = {0.01: "too small", 1.0: "right", 4.0: "too large"}  # learning rates of the still picture


class Valley(Widget):
    """The cost along a line, and gradient descent that stays on this line.

    Descent begins at 0. Each step goes against the slope of this very curve, by the learning rate
    times the slope, and there are no more of them once one has left the line's end. Where no widget
    runs, a still picture stands for it, with three learning rates.

    Attributes:
        rate: the learning rate, as it is now. May be set, and is then shown.

    Args:
        places: float [N], distances along the line, rising; 0 lies among them.
        costs: float [N], the cost at each of them.
    """

    _esm = joined("pad.js", "keys.js", "valley.js")
    _css = joined("valley.css")

    places: traitlets.List[float] = traitlets.List().tag(sync=True)
    costs: traitlets.List[float] = traitlets.List().tag(sync=True)
    slopes: traitlets.List[float] = traitlets.List().tag(sync=True)
    rate: traitlets.Float = traitlets.Float(0.1).tag(sync=True)

    def __init__(self, places: np.ndarray, costs: np.ndarray) -> None:
        self.curve = CubicSpline(places, costs)
        known = np.array([places, costs, self.curve(places, 1)], float)
        super().__init__(**dict(zip(("places", "costs", "slopes"), known.tolist())))

    def descend(self, rate: float) -> list[float]:
        """Where 20 steps lead, the start at 0 included; less if a step leaves the line's end."""
        path = [0.0]
        while len(path) <= STEPS and self.places[0] <= path[-1] <= self.places[-1]:
            path.append(path[-1] - rate * float(self.curve(path[-1], 1)))
        return path

    def __repr__(self) -> str:
        return "Valley: run this cell in JupyterLab, and choose a learning rate"

    def still_png(self) -> bytes:
        figure = Figure(figsize=(9, 2.8), layout="constrained")
        first, last = self.places[0], self.places[-1]
        fine = np.linspace(first, last, 200)
        for axes, (rate, verdict) in zip(figure.subplots(1, 3, sharey=True), STILL.items()):
            path = np.array(self.descend(rate))
            costs = self.curve(np.clip(path, first, last))
            axes.plot(fine, self.curve(fine), color=GREY)
            axes.plot(path, costs, "o-", ms=4, lw=1, color=ORANGE)
            axes.plot(path[0], costs[0], "o", ms=7, color=BLUE)
            axes.set(xlim=(first, last), xlabel=say("distance along the line"))
            axes.set_title(say("learning rate {:g}: {}").format(rate, say(verdict)))
        figure.axes[0].set_ylabel(say("cost"))
        return png_of(figure, dpi=90)
