"""The pictures, in one style: colors that color-blind readers can tell apart (Okabe and Ito)."""

from __future__ import annotations

import base64
import html
import io
import math
import struct
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

if TYPE_CHECKING:
    import keras

    from lenet_keras.patience import Validation

__all__ = [
    "confusion_matrix",
    "digits",
    "kernels",
    "learning_curve",
    "misclassified",
    "network",
    "parallel_coordinates",
    "show",
    "use_style",
]

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"
SKY, YELLOW, PINK = "#56B4E9", "#E69F00", "#CC79A7"
# weights: orange below 0, white at 0, blue above
SIGNED = LinearSegmentedColormap.from_list("signed", [ORANGE, "#F7F7F7", BLUE])

# of Linux, Windows and macOS: the first that is installed writes what DejaVu Sans has no sign for
CHINESE_FONTS = [
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Hiragino Sans GB",
]
CHINESE = {
    "validation error": "验证错误率",
    "test error at each new best": "每次刷新最好成绩时的测试错误率",
    "best validation error, {:.2f} %": "最好的验证错误率，{:.2f}%",
    "error (%)": "错误率（%）",
    "cost (mean negative log-likelihood)": "代价（平均负对数似然）",
    "images": "图片",
    "convolution\n{}×{}": "卷积\n{}×{}",
    "largest\nof {}×{}": "{}×{}\n取最大",
    "in one row": "排成一行",
    "all to all": "全连接",
    "\n{} maps": "\n{} 张",
    "{:,}\nweights": "{:,}\n个权重",
    "digit, and the window": "数字图和窗口",
    "kernel": "卷积核",
    "feature map": "特征图",
    "{}: {} maps of {}×{}": "{}：{} 张 {}×{} 的特征图",
    "cost": "代价",
    "distance along the line": "沿直线的距离",
    "learning rate {:g}: {}": "学习率 {:g}：{}",
    "too small": "太小",
    "right": "合适",
    "too large": "太大",
    "answer": "答案",
    "label": "标签",
}
_words: dict[str, str] = {}  # what the figures say in the language of use_style


def use_style(language: str = "en") -> None:
    """Give every figure made from now on the house style: white ground, quiet axes, our colors.

    Args:
        language: of what our own figures say: "en", or "zh", which also sets a font for Chinese.
    """
    _words.clear()
    fonts = ["DejaVu Sans"]
    if language == "zh":
        _words.update(CHINESE)
        installed = get_font_names()
        fonts += [font for font in CHINESE_FONTS if font in installed][:1]
        if len(fonts) == 1:
            warnings.warn(
                "No font with Chinese characters was found, so the figures show boxes. Install one "
                "(on Debian and Ubuntu: apt install fonts-noto-cjk), then restart the kernel.",
                stacklevel=2,
            )
    matplotlib.rcParams.update(
        {
            "figure.facecolor": "white",  # opaque, so that it also reads on a dark page
            "figure.constrained_layout.use": True,
            "figure.figsize": (8, 3.6),
            "axes.prop_cycle": matplotlib.cycler(  # type: ignore[attr-defined]
                color=[BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, GREY]
            ),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "font.family": fonts,
            "image.cmap": "gray_r",  # ink is dark, as on paper
            "image.interpolation": "nearest",
            "legend.frameon": False,
        }
    )


def say(words: str) -> str:
    """What a figure of ours says, in the language of use_style."""
    return _words.get(words, words)


def png_of(figure: Figure, dpi: int) -> bytes:
    """A figure as a PNG file's bytes, without the name of what wrote it."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return png.getvalue()


def show(figure: Figure, alt: str) -> None:
    """Display a figure in a notebook as an embedded PNG, and below it what it shows.

    It goes out as HTML, because JupyterLab draws a bare PNG without any alt text.

    Args:
        figure: any matplotlib figure; pyplot forgets it, so that it appears once.
        alt: its caption, which also tells a reader who does not see the picture what it shows.
    """
    import matplotlib.pyplot as plt
    from IPython.display import display

    png = png_of(figure, dpi=110)
    plt.close(figure)
    width, height = struct.unpack(">II", png[16:24])  # so that a page keeps its place
    source = base64.b64encode(png).decode()
    words = html.escape(alt)
    picture = (
        f'<figure style="margin: 0; max-width: {width}px">\n'
        f'<img alt="{words}" width="{width}" height="{height}" '
        f'src="data:image/png;base64,{source}">\n'
        f'<figcaption aria-hidden="true">{words}</figcaption>\n</figure>'  # it is heard once
    )
    display({"text/html": picture, "text/plain": alt}, raw=True)


def digits(images: np.ndarray, titles: Sequence[str] = ()) -> Figure:
    """Digits side by side, ten in a row, ink dark on white.

    Args:
        images: uint8 [N, height, width], N at least 1; 255 is ink.
        titles: nothing, or a short text above each digit.

    Returns:
        A figure with one small picture for each.
    """
    figure, places = _grid(len(images), titles)
    for axes, image in zip(places, images):
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
        _frame(axes)
    return figure


def kernels(kernels: np.ndarray, titles: Sequence[str] = ()) -> Figure:
    """Kernels side by side in one scale: orange is negative, white is 0, blue is positive.

    Args:
        kernels: float [N, height, width], N at least 1.
        titles: nothing, or a short text above each kernel.

    Returns:
        A figure with one small picture for each, and the scale.
    """
    figure, places = _grid(len(kernels), titles)
    limit = float(np.abs(kernels).max()) or 1.0
    for axes, kernel in zip(places, kernels):
        drawn = axes.imshow(kernel, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")
        _frame(axes)
    figure.colorbar(drawn, ax=places, fraction=0.02, pad=0.01)
    return figure


def _grid(n: int, titles: Sequence[str]) -> tuple[Figure, list]:
    """n places for small pictures, ten in a row, with their titles."""
    columns = min(n, 10)
    rows = math.ceil(n / columns)
    figure = Figure(
        figsize=(max(0.9 * columns, 2), (1.15 if titles else 0.9) * rows), layout="constrained"
    )
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in places[n:]:
        axes.remove()
    for axes, title in zip(places, titles):
        axes.set_title(title, fontsize=9)
    return figure, places[:n]


def _frame(axes: matplotlib.axes.Axes) -> None:
    """No ticks, a thin grey frame."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color="#BBBBBB", linewidth=0.5)


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
    errors.plot(epochs, validation, color=BLUE, label=say("validation error"))
    if scored:
        test = say("test error at each new best")
        errors.plot(*zip(*scored), "o", ms=4, color=ORANGE, label=test)
    errors.plot(
        [best_at],
        [100 * best.validation_error],
        "*",
        ms=13,
        color=GREEN,
        label=say("best validation error, {:.2f} %").format(100 * best.validation_error),
    )
    errors.set(xlabel="epoch", ylabel=say("error (%)"))
    if min(validation) > 0:  # a logarithm has no place for 0
        errors.set_yscale("log")
        for axis in (errors.yaxis.set_major_formatter, errors.yaxis.set_minor_formatter):
            axis(FuncFormatter(lambda value, _: f"{value:g}"))
    errors.legend(frameon=False)

    cost.plot(epochs, [v.cost for v in history], color=GREY)
    cost.set(xlabel="epoch", ylabel=say("cost (mean negative log-likelihood)"), yscale="log")
    for axes in (errors, cost):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
    if title:
        figure.suptitle(title)
    return figure


def parallel_coordinates(values: Mapping[str, Sequence], errors: Sequence[float]) -> Figure:
    """Many trainings at once: an axis for each thing that differs, a line for each training.

    Args:
        values: name to the value that each training had: numbers, words, or lists of them.
        errors: in percent, of each; the last axis. The darker a line, the smaller its error.

    Returns:
        A figure, the best training in orange.
    """
    columns = {**values, "validation error (%)": errors}
    figure = Figure(figsize=(1.5 + 1.8 * len(columns), 4), layout="constrained")
    axes, places = figure.subplots(), []
    for x, column in enumerate(columns.values()):
        numbers = all(isinstance(value, int | float) for value in column)
        spread = sorted(column) if numbers else []
        if (numbers and len(set(column)) > 6) or x == len(columns) - 1:
            low, high = spread[0], spread[-1]
            log = low > 0 and high / low > 20
            scale = math.log if log else float
            width = scale(high) - scale(low) or 1.0
            places.append([(scale(value) - scale(low)) / width for value in column])
            middle = math.sqrt(low * high) if log else (low + high) / 2
            ticks = {0.0: low, 0.5: middle, 1.0: high} if high > low else {0.0: low}
        else:  # few values: each has its place
            each = list(dict.fromkeys(map(str, spread or sorted(map(str, column)))))
            where = {value: i / max(1, len(each) - 1) for i, value in enumerate(each)}
            places.append([where[str(value)] for value in column])
            ticks = {y: value for value, y in where.items()}
        axes.axvline(x, color=GREY, lw=1)
        for y, value in ticks.items():
            text = value if isinstance(value, str) else f"{value:.3g}"
            axes.annotate(text, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=8)
    order = np.argsort(errors)[::-1]  # the best on top
    for rank, i in enumerate(order):
        best = rank == len(order) - 1
        color = ORANGE if best else matplotlib.colormaps["Blues"](0.25 + 0.6 * rank / len(order))
        axes.plot([place[i] for place in places], color=color, lw=2.5 if best else 1)
    axes.set_xticks(range(len(columns)), columns)
    axes.set(yticks=[], ylim=(-0.05, 1.1))
    axes.spines[:].set_visible(False)
    return figure


def network(model: keras.Model) -> Figure:
    """A network on one page, with the shape of what flows through it, read from the model itself.

    Args:
        model: layers in a row, from images [N, height, width] to [N, classes]; feature maps are
            drawn to scale as sheets, units as a column.

    Returns:
        A figure: above each arrow what is done, below each drawing its shape.
    """
    figure = Figure(figsize=(10.5, 3.2), layout="none")  # type: ignore[arg-type]
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 105), ylim=(-9, 23), aspect="equal")
    axes.axis("off")
    x, middle = 1.0, 9.5
    for place, (name, shape, action, weights) in enumerate(_stages(model)):
        if place:
            arrow = {"arrowstyle": "->", "color": GREY}
            axes.annotate("", (x + 7.2, middle), (x, middle), arrowprops=arrow)
            axes.text(x + 3.4, middle + 0.8, action, ha="center", va="bottom", fontsize=7.5)
            x += 7.7
        if len(shape) == 1:
            width, height, sheets = 1.4, 2.2 + 11 * shape[0] / 800, 1
            color, size = {"flatten": SKY, "hidden": YELLOW}.get(name, ORANGE), f"{shape[0]}"
        else:
            height, width = (0.36 * side for side in shape[:2])
            maps = shape[2] if len(shape) == 3 else 1
            sheets = min(math.ceil(math.sqrt(maps)), 8)  # a few stand for all
            color = "white" if maps == 1 else SKY
            size = f"{shape[0]}×{shape[1]}" + (say("\n{} maps").format(maps) if maps > 1 else "")
        for sheet in range(sheets):
            corner = (x + 0.45 * sheet, middle - height / 2 + 0.45 * ((sheets - 1) / 2 - sheet))
            axes.add_patch(Rectangle(corner, width, height, fc=color, ec="black", lw=0.6))
        wide = width + 0.45 * (sheets - 1)
        learned = say("{:,}\nweights").format(weights) if weights else ""
        at = x + wide / 2
        axes.text(at, 20, name, ha="center", fontsize=9.5, fontweight="bold")
        axes.text(at, 0.6, size, ha="center", va="top", fontsize=9)
        axes.text(at, -4, learned, ha="center", va="top", fontsize=7.5, color=BLUE)
        x += wide + 0.6
    return figure


def _stages(model: keras.Model) -> list[list]:
    """What is drawn of a network: name, shape, what is done to get there, number of weights."""
    stages = [[say("images"), model.input.shape[1:], "", 0]]
    for layer in model.layers[1:]:
        kind, shape = type(layer).__name__, layer.output.shape[1:]
        if kind in ("Rescaling", "Reshape", "Dropout"):
            continue  # the same picture, in other numbers and brackets; and what only training has
        if kind == "Activation":
            stages[-1][2] += _activation_of(layer)
            continue
        action = {
            "Conv2D": lambda layer: say("convolution\n{}×{}").format(*layer.kernel_size),
            "MaxPooling2D": lambda layer: say("largest\nof {}×{}").format(*layer.pool_size),
            "Flatten": lambda layer: say("in one row"),
            "Dense": lambda layer: say("all to all") + _activation_of(layer),
        }[kind](layer)
        stages.append([layer.name, shape, action, layer.count_params()])
    return stages


def _activation_of(layer: keras.Layer) -> str:
    name = layer.activation.__name__
    return "" if name == "linear" else f"\n{name}"


def confusion_matrix(counts: np.ndarray) -> Figure:
    """How often each digit was taken for each: a row for what it is, a column for the answer.

    Args:
        counts: int [10, 10], or of any other number of classes.

    Returns:
        A figure with every number but 0 written out. Only mistakes are colored: next to what
        is right, none would be seen.
    """
    n = len(counts)
    wrong = np.where(np.eye(n, dtype=bool), 0, counts)
    figure = Figure(figsize=(0.55 * n + 1, 0.45 * n + 0.8), layout="constrained")
    axes = figure.subplots()
    shades = LinearSegmentedColormap.from_list("mistakes", ["white", ORANGE])
    axes.imshow(wrong, cmap=shades, vmin=0, vmax=max(1, 1.2 * wrong.max()), aspect="auto")
    for row, column in np.argwhere(counts):
        color, weight = (GREY, "normal") if row == column else ("black", "bold")
        count = f"{counts[row, column]:,}"
        axes.text(
            column, row, count, ha="center", va="center", fontsize=9, color=color, weight=weight
        )
    axes.set(xlabel=say("answer"), ylabel=say("label"), xticks=range(n), yticks=range(n))
    axes.set_xticks(np.arange(n - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(n - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="#DDDDDD", linewidth=0.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set(visible=True, color="#BBBBBB", linewidth=0.5)
    return figure


def misclassified(images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> Figure:
    """Digits, ten in a row, each with what it is and the network's two best guesses.

    Args:
        images: uint8 [N, height, width], N at least 1.
        labels: int [N], what they are: written above.
        probabilities: float [N, classes]; the two largest are written below, green and bold
            where the guess is right.

    Returns:
        A figure with one small picture for each.
    """
    figure = digits(images, [str(label) for label in labels])
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height * 1.4)
    for axes, label, shares in zip(figure.axes, labels, probabilities):
        for line, guess in enumerate(np.argsort(-shares)[:2]):
            right = guess == label
            axes.text(
                0.5,
                -0.06 - 0.24 * line,
                f"{guess}: {100 * shares[guess]:.0f} %",
                transform=axes.transAxes,
                ha="center",
                va="top",
                fontsize=7.5,
                color=GREEN if right else "black",
                weight="bold" if right else "normal",
            )
    return figure
