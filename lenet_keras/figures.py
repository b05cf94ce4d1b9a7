"""The pictures, in one style: colours that colour-blind readers can tell apart (Okabe and Ito)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from lenet_keras.patience import Validation

__all__ = ["learning_curve"]

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"


def learning_curve(history: Sequence[Validation], title: str = "") -> Figure:
    """Errors and cost of one training, epoch by epoch.

    Args:
        history: the run's validations, in order; at least one.
        title: written above, for instance which data it was.

    Returns:
        A figure of two panels: validation and test error in percent (logarithmic), with the
        best validation marked; the mean negative log-likelihood.
    """
    epochs = [v.iteration / v.n_train_batches for v in history]
    scored = [(x, 100 * v.test_error) for x, v in zip(epochs, history) if v.test_error is not None]
    best_at, best = min(zip(epochs, history), key=lambda pair: pair[1].validation_error)

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    errors, cost = figure.subplots(1, 2)
    validation = [100 * v.validation_error for v in history]
    errors.plot(epochs, validation, color=BLUE, label="validation error")
    if scored:
        errors.plot(*zip(*scored), "o", ms=4, color=ORANGE, label="test error at each new best")
    errors.plot(
        [best_at],
        [100 * best.validation_error],
        "*",
        ms=13,
        color=GREEN,
        label=f"best validation error, {100 * best.validation_error:.2f} %",
    )
    errors.set(xlabel="epoch", ylabel="error (%)")
    if min(validation) > 0:  # a logarithm has no place for 0
        errors.set_yscale("log")
        for axis in (errors.yaxis.set_major_formatter, errors.yaxis.set_minor_formatter):
            axis(FuncFormatter(lambda value, _: f"{value:g}"))
    errors.legend(frameon=False)

    cost.plot(epochs, [v.cost for v in history], color=GREY)
    cost.set(xlabel="epoch", ylabel="cost (mean negative log-likelihood)", yscale="log")
    for axes in (errors, cost):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
    if title:
        figure.suptitle(title)
    return figure
