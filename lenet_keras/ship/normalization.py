"""Pictures as they come, made into pictures like MNIST's: one ONNX graph for every app.

A network trained on MNIST has only ever seen digits that MNIST's makers had prepared.
LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
recognition" (Proc. IEEE 86(11), 1998, section III.A) and the MNIST page say how: the
digits were "size normalized to fit in a 20x20 pixel box while preserving their aspect
ratio", hold "grey levels as a result of the anti-aliasing technique used by the
normalization algorithm", and were "centered in a 28x28 image by computing the center
of mass of the pixels, and translating the image so as to position this point at the
center of the 28x28 field".

This module does the same to any grey picture, in ONNX, so that Python, Node and the
browser all run one and the same code::

    input   image       uint8 [N, H, W]    grey, any H and W from 1 to 4096,
                                           ink dark on light or light on dark
    output  normalized  uint8 [N, 28, 28]  light ink (up to 255) on black paper (0)
    output  has_ink     bool  [N]          false for a blank picture, then all 0

The steps, each a paragraph of `_normalize` below::

    1. thumbnail   means of k×k pixels, at most 56 a side: what is paper shows in the small
    2. polarity    is the ink dark or light? What is farther from its surroundings, and
                   less at the border
    3. paper       the level around each pixel, with the strokes filled in (a grey closing);
                   so a shadow is paper, and what is dark all along the border
    4. ink         what differs from the paper by more than the paper's grain; a frame, dust
                   and pale or thin lines away from the digit are dropped
    5. box         the rows and columns that hold solid ink, not a mere speck of dust
    6. mass        the centre of mass of the ink in and right around the box
    7. place       the box's longer side becomes 20 pixels, and the pixel that holds the
                   centre of mass becomes pixel (14, 14), counted from 0
    8. scale       every output pixel is the mean of the ink it covers (anti-aliasing)
    9. lift        strokes that scaling made thin and faint become as thick and as bright
                   as MNIST's own, and the brightest ink becomes white

95 in 100 of MNIST's own digits come out as they went in: their paper has neither level
nor grain, and they are 20 pixels long, centred and bright already. Most others lose a
speck of dust or are a little brightened; 1 in 50 has specks or ends so faint that it is
moved or resized by a pixel.

Paper, grain and ink are multiples of 1/4, so their sums are exact in float32; where a place is
rounded down, `NUDGE` keeps ties away from rounding errors; and no picture of a batch looks
at another. So a batch gives what its pictures give one at a time, and so do other runtimes.
"""

import itertools
import re

import numpy as np
import onnx
import onnxscript.optimizer
from onnx.numpy_helper import from_array, to_array
from onnxscript import FLOAT, INT64, UINT8, script
from onnxscript import opset17 as op

IR_VERSION = 8  # old enough for every build of ONNX Runtime for Node and the browser

SIZE = 28.0  # the side of the picture that the network sees
BOX = 20.0  # the longer side of the digit in it
CENTRE = 14.0  # the row, and the column, of the pixel that gets the centre of mass

SMALL = 56  # the longer side of the thumbnail, at most
AROUND = 21  # each of its pixels is compared with the mean of so many either way …
BEYOND = 2  # … of which the first two outside of the picture are as its border is
INSIDE = (AROUND - 1) // 2 - BEYOND  # and those farther out do not count
LEAN = 0.3  # of its full weight, that the border has in this at most
PEN = 15  # no stroke is wider, in pixels of the thumbnail
EDGE = 1  # paper is as dark as the darkest paper within this: a shadow's edge is no ink
OUTSIDE = PEN - 1 + EDGE  # how far the closing looks
DARKER = 0.25  # of the contrast: outside is no darker than this below the mean of the border

GRAIN = 3.0  # ink begins at 3 × the paper's quartile deviation: 2 σ where that is Gaussian
LOWEST = -64.0  # levels that the border may differ from its paper by: these, and 255 more
ABOVE = 32.0  # the closing is above grainy paper by no more; past that it is a thin frame
FAINTEST = 2.0  # levels of 255 that a blob of ink differs from even paper, at least …
LEAST = 32.0  # … and by 1/32 of all that there is between black and white in the picture
BLACK = 0.4  # of the contrast: a frame's lines are darker than the lightest paper by this
COVER = 0.899  # and hold 9/10 of a row or column
OUTER = 6  # in the outer 1/6 of the picture
SEED = 2.6  # there is ink where 3×3 pixels have 1/2.6 of the densest such block, and next to it
NOWHERE = -999.0  # nothing is as dark
SOLID = 4.0  # solid ink has 1/4 of the strongest ink of the picture …
DENSE = 8.0  # … and the 3×3 pixels around it have 1/8 of the densest such block
THIN = 0.6  # strokes are thin if scaling took 4/10 of their ink; of MNIST's own, under 3/10
PEAK = 254.0  # MNIST's digits all have their brightest pixel at 254 or 255 …
BODY = 190.0  # … and 98 in 100 have a body (see `_body`) above 190
TINY = 1e-6  # keeps 0/0 away from blank pictures
NUDGE = 1e-3  # of a level, or of an output pixel: more than float32 is ever wrong by

FLOAT_ = onnx.TensorProto.FLOAT
UINT8_ = onnx.TensorProto.UINT8
ACROSS = from_array(np.arange(SIZE, dtype=np.float32))
DOWN = from_array(np.arange(SIZE, dtype=np.float32)[:, None])
LEVELS = from_array(np.arange(LOWEST, LOWEST + 256, dtype=np.float32).reshape(256, 1, 1))
# around 1/4, 1/2 and 3/4, four of each: levels are whole numbers, and a fine grain is not
SHARES = from_array(
    np.array([16, 22, 28, 34, 41, 47, 53, 59, 66, 72, 78, 84], np.float32) / 100 - 1e-4
)


@script(default_opset=op)
def _thumbnail(grey: FLOAT["N", 1, "H", "W"], height: INT64[1], width: INT64[1], k: INT64[1]):
    """The means of k×k pixels, in whole levels; the last row and column are repeated to fill up."""
    rows = (height + k - 1) / k
    columns = (width + k - 1) / k
    zero = op.Constant(value_ints=[0])  # in a shape: as many pictures as there are
    more = op.Concat(
        op.Constant(value_ints=[0, 0, 0, 0, 0, 0]), rows * k - height, columns * k - width, axis=0
    )
    whole = op.Pad(grey, more, mode="edge")
    strips = op.Reshape(whole, op.Concat(zero, rows, k, columns * k, axis=0))
    heights = op.ReduceSum(strips, [2], keepdims=0)
    blocks = op.Reshape(heights, op.Concat(zero, rows, columns, k, axis=0))
    mean = op.ReduceSum(blocks, [3], keepdims=0) / op.Cast(k * k, to=FLOAT_)
    return op.Unsqueeze(op.Floor(mean + 0.5), [1])


@script(default_opset=op)
def _border(small: FLOAT["N", 1, "h", "w"]):
    """The mean of the four sides."""
    rows = op.ReduceMean(op.Gather(small, op.Constant(value_ints=[0, -1]), axis=2), axes=[2, 3])
    columns = op.ReduceMean(op.Gather(small, op.Constant(value_ints=[0, -1]), axis=3), axes=[2, 3])
    return (rows + columns) / 2.0


@script(default_opset=op)
def _stands_out(
    small: FLOAT["N", 1, "h", "w"], border: FLOAT["N", 1, 1, 1], contrast: FLOAT["N", 1, 1, 1]
):
    """Above 0 if what stands out of the picture is light, below if it is dark: from -1.3 to 1.3."""
    larger = op.Pad(
        small, op.Constant(value_ints=[0, 0, BEYOND, BEYOND, 0, 0, BEYOND, BEYOND]), mode="edge"
    )
    upright = op.AveragePool(larger, kernel_shape=[AROUND, 1], pads=[INSIDE, 0, INSIDE, 0])
    around = op.AveragePool(upright, kernel_shape=[1, AROUND], pads=[0, INSIDE, 0, INSIDE])
    apart = small - around
    cubes = apart * apart * apart
    share = op.ReduceSum(cubes, [1, 2, 3]) / op.Max(op.ReduceSum(op.Abs(cubes), [1, 2, 3]), TINY)
    lighter = (border - op.ReduceMean(small, axes=[1, 2, 3])) / op.Max(contrast, 1.0)
    return share - op.Clip(lighter, -LEAN, LEAN)


@script(default_opset=op)
def _closed(dark: FLOAT["N", 1, "h", "w"], darkest: FLOAT["N", 1, 1, 1]):
    """Dark strokes filled in from both sides.

    Outside, the picture goes on as its border is, but no darker than `darkest`: where a stroke
    of the digit ends at the border, paper goes on.
    """
    sides = op.Constant(value_ints=[0, 0, OUTSIDE, OUTSIDE, 0, 0, OUTSIDE, OUTSIDE])
    inside = op.Pad(op.Cast(dark > NOWHERE, to=FLOAT_), sides) > 0.0
    larger = op.Pad(dark, sides, mode="edge")
    larger = op.Where(inside, larger, op.Max(larger, darkest))
    lightest = op.MaxPool(larger, kernel_shape=[PEN, PEN])
    return op.Neg(op.MaxPool(op.Neg(lightest), kernel_shape=[PEN + 2 * EDGE, PEN + 2 * EDGE]))


@script(default_opset=op)
def _border_levels(dark: FLOAT["N", 1, "H", "W"], paper: FLOAT["N", 1, "h", "w"], k: INT64[1]):
    """Which levels these SHARES of the border are no higher than, paper taken off: [N, 1, 1, 12].

    Every k-th pixel of the border, and counted, not sorted.
    """
    ends = op.Constant(value_ints=[0, -1])
    begin, end = op.Constant(value_ints=[0]), op.Constant(value_ints=[99999])
    along, down = op.Constant(value_ints=[3]), op.Constant(value_ints=[2])
    rows = op.Gather(paper, ends, axis=2) - op.Slice(
        op.Gather(dark, ends, axis=2), begin, end, along, k
    )
    columns = op.Gather(paper, ends, axis=3) - op.Slice(
        op.Gather(dark, ends, axis=3), begin, end, down, k
    )
    border = op.Concat(rows, op.Transpose(columns, perm=[0, 1, 3, 2]), axis=3)  # [N, 1, 2, L]
    no_higher = op.Cast(op.LessOrEqual(border, op.Constant(value=LEVELS)), to=FLOAT_)
    share = op.ReduceMean(no_higher, axes=[2, 3])  # [N, 256, 1, 1]
    before = op.Cast(op.Less(share, op.Constant(value=SHARES)), to=FLOAT_)
    return op.ReduceSum(before, [1]) + LOWEST


@script(default_opset=op)
def _enlarged(small: FLOAT["N", 1, "h", "w"], row: INT64["H"], column: INT64["W"], k: INT64[1]):
    """Every pixel repeated k times either way, [N, 1, H, W]."""
    which = op.Unsqueeze(op.Range(0, op.Squeeze(op.Shape(small, start=3)), 1), [1])
    belongs = op.Cast(op.Equal(which, column / k), to=FLOAT_)  # faster than another Gather
    return op.Gather(op.MatMul(small, belongs), row / k, axis=2)


@script(default_opset=op)
def _blocks(picture: FLOAT["N", 1, "H", "W"]):
    """The mean of the 3×3 pixels around each pixel, with 0 outside of the picture."""
    return op.AveragePool(picture, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)


@script(default_opset=op)
def _next_to(mask: FLOAT["N", 1, "h", "w"]):
    """1 where the mask is 1, and on the 8 pixels around, else 0."""
    return op.MaxPool(mask, kernel_shape=[3, 3], pads=[1, 1, 1, 1])


@script(default_opset=op)
def _lines(black: FLOAT["N", 1, "h", "w"]):
    """1 for the rows near the top or bottom that are black, or next to it, from side to side."""
    whole = op.Cast(op.ReduceMean(_next_to(black), axes=[3]) > COVER, to=FLOAT_)  # [N, 1, h, 1]
    last = op.Squeeze(op.Shape(black, start=2, end=3)) - 1
    row = op.Unsqueeze(op.Range(0, last + 1, 1), [1])
    outer = op.Cast(op.Min(row, last - row) * OUTER < last, to=FLOAT_)
    return whole * outer


@script(default_opset=op)
def _near(
    first: FLOAT["N", 1, 1, 1], end: FLOAT["N", 1, 1, 1], step: FLOAT["N", 1, 1, 1], position: FLOAT
):
    """1 for the pixels of the box and up to one output pixel around it, else 0."""
    return op.Cast(op.And(position + 1.0 > first - step, position < end + step), to=FLOAT_)


@script(default_opset=op)
def _margin(
    first: FLOAT["N", 1, 1, 1],
    end: FLOAT["N", 1, 1, 1],
    step: FLOAT["N", 1, 1, 1],
    centre: FLOAT["N", 1, 1, 1],
):
    """How many output pixels come before the box: all of it has to stay inside."""
    before_centre = CENTRE - op.Floor((centre - first) / step + NUDGE)
    room = op.Floor(SIZE + NUDGE - (end - first) / step)
    return op.Max(op.Min(before_centre, room), 0.0)


@script(default_opset=op)
def _shares(
    first: FLOAT["N", 1, 1, 1],
    margin: FLOAT["N", 1, 1, 1],
    step: FLOAT["N", 1, 1, 1],
    pixel: FLOAT,
    position: FLOAT,
):
    """How much of each output pixel's window each input pixel fills.

    An output pixel covers `step` input pixels; the mean over that window is the
    anti-aliasing. A window is at least 1 pixel wide, which makes enlarging bilinear.
    """
    window = op.Max(step, 1.0)
    begin = first + (pixel + 0.5 - margin) * step - window / 2.0
    overlap = op.Min(begin + window, position + 1.0) - op.Max(begin, position)
    return op.Relu(overlap) / window


@script(default_opset=op)
def _body(grey: FLOAT["N", 1, 28, 28]):
    """How bright the ink is: the mean of the greys, each weighted with itself."""
    total = op.ReduceSum(grey, [1, 2, 3])
    return op.ReduceSum(grey * grey, [1, 2, 3]) / op.Max(total, TINY)


@script(default_opset=op)
def _normalize(image: UINT8["N", "H", "W"]):
    height = op.Shape(image, start=1, end=2)
    width = op.Shape(image, start=2, end=3)
    row = op.Range(0, op.Squeeze(height), 1)
    column = op.Range(0, op.Squeeze(width), 1)
    grey = op.Unsqueeze(op.Cast(image, to=FLOAT_), [1])

    # 1. Thumbnail. Each of its pixels is the mean of k×k.
    one = op.Constant(value_ints=[1])
    k = op.Max(one, (op.Max(height, width) + SMALL - 1) / SMALL)
    small_grey = _thumbnail(grey, height, width, k)

    # 2. Polarity. Around a pixel there is more paper than ink, so ink is farther from the
    # mean; and the cubes of what is far outweigh all that is near. Where a thick pen fills the
    # picture that is close, and the border, mostly paper, decides. From here on ink is dark.
    contrast = op.ReduceMax(small_grey, axes=[2, 3]) - op.ReduceMin(small_grey, axes=[2, 3])
    border = _border(small_grey)
    sign = op.Where(_stands_out(small_grey, border, contrast) > 0.0, -1.0, 1.0)
    small = small_grey * sign
    dark = grey * sign

    # 3. Paper. What is left of the border once paper is taken off tells how far the closing
    # is above even paper, and the paper's grain. Quartiles shrug off strokes that touch it.
    closed = _closed(small, op.Floor(border * sign - contrast * DARKER + NUDGE))
    levels = _border_levels(dark, closed, k)
    quarter, half, three_quarters = op.Split(
        op.AveragePool(levels, kernel_shape=[1, 4], strides=[1, 4]), axis=3
    )
    grain = op.Min(half - quarter, three_quarters - half)
    paper = closed - op.Min(half, ABOVE) - grain * GRAIN

    # 4. Ink. A frame has lines of both directions: a bar of a 7 at the border is none. Dust is
    # dropped, and lines that are thinner or paler than the digit: what is not next to dense
    # ink, nor next to ink that is. A root counts how much of a block is ink rather than how
    # dark it is.
    black = op.Cast(small < op.ReduceMax(small, axes=[2, 3]) - contrast * BLACK, to=FLOAT_)
    rows = _lines(black)
    columns = op.Transpose(_lines(op.Transpose(black, perm=[0, 1, 3, 2])), perm=[0, 1, 3, 2])
    frame = op.ReduceMax(rows, axes=[2]) * op.ReduceMax(columns, axes=[3])
    no_frame = 1.0 - op.Max(rows, columns) * frame
    small_ink = op.Relu(paper - small) * no_frame
    density = _blocks(op.Sqrt(small_ink))
    seed = op.Cast(density > op.ReduceMax(density, axes=[2, 3]) / SEED, to=FLOAT_)
    grown = _next_to(seed) * op.Cast(small_ink > 0.0, to=FLOAT_)
    kept = _next_to(grown) * no_frame
    level = op.Where(kept > 0.0, paper, NOWHERE)
    ink = op.Relu(_enlarged(level, row, column, k) - dark)

    # 5. Box. A pixel counts if it is strong and its neighbours are too: else one speck
    # of dust would shrink the digit to a dot. Where nothing is solid, the box is the
    # whole picture, so that all that follows stays finite.
    block = _blocks(ink)
    strongest = op.ReduceMax(ink, axes=[2, 3])
    densest = op.ReduceMax(block, axes=[2, 3])
    solid = op.Cast(op.And(ink > strongest / SOLID, block > densest / DENSE), to=FLOAT_)
    solid_rows = op.ReduceMax(solid, axes=[3])
    solid_columns = op.ReduceMax(solid, axes=[2])
    top = op.Cast(op.ArgMax(solid_rows, axis=2), to=FLOAT_)
    bottom = op.Cast(op.ArgMax(solid_rows, axis=2, select_last_index=1), to=FLOAT_) + 1.0
    left = op.Cast(op.ArgMax(solid_columns, axis=3), to=FLOAT_)
    right = op.Cast(op.ArgMax(solid_columns, axis=3, select_last_index=1), to=FLOAT_) + 1.0
    step = op.Max(bottom - top, right - left) / BOX

    # 6. Mass. The ink next to the box belongs to it: the fringe of an anti-aliased
    # stroke. Noise farther away does not.
    across = op.Cast(row, to=FLOAT_)
    down = op.Unsqueeze(op.Cast(column, to=FLOAT_), [1])
    near_rows = _near(top, bottom, step, across)  # [N, 1, 1, H]
    near_columns = _near(left, right, step, down)  # [N, 1, W, 1]
    row_mass = op.MatMul(ink, near_columns)
    column_mass = op.MatMul(near_rows, ink)
    mass = op.Max(op.MatMul(near_rows, row_mass), TINY)
    row_centre = op.MatMul(near_rows * across, row_mass) / mass + 0.5
    column_centre = op.MatMul(column_mass, near_columns * down) / mass + 0.5

    # 7. Place. Whole pixels, as in MNIST: a digit of 20 pixels is moved, not resampled.
    rows_before = _margin(top, bottom, step, row_centre)
    columns_before = _margin(left, right, step, column_centre)

    # 8. Scale. Rows and columns apart: two products of matrices instead of one sum over
    # all pixels for each output pixel.
    row_shares = _shares(top, rows_before, step, op.Constant(value=DOWN), across)
    column_shares = _shares(left, columns_before, step, op.Constant(value=ACROSS), down)
    scaled = op.MatMul(op.MatMul(row_shares, ink), column_shares)

    # 9. Lift. A stroke thinner than an output pixel has lost part of its ink to the
    # paper around it. Spread it over the 3×3 pixels around, as thick as MNIST's pens,
    # and let the gain make up for the loss.
    bold = op.Where(_body(scaled) < densest * THIN, _blocks(scaled), scaled)
    peak = op.ReduceMax(bold, axes=[2, 3])
    gain = op.Max(1.0, PEAK / op.Max(peak, TINY), BODY / op.Max(_body(bold), TINY))
    lifted = op.Min(op.Floor(bold * gain + 0.5), 255.0)

    # A blank picture is one whose ink hardly differs from the paper, or hardly so beside
    # all that is no ink: the frame around an empty cell.
    ink_found = densest > grain + FAINTEST + contrast / LEAST
    shown = op.Where(ink_found, lifted, 0.0)
    normalized = op.Cast(op.Squeeze(shown, [1]), to=UINT8_)
    has_ink = op.Squeeze(ink_found, [1, 2, 3])
    return normalized, has_ink


def normalization_model() -> onnx.ModelProto:
    """The graph from `image` to `normalized` and `has_ink`, flat: no functions, no subgraphs.

    The names of its nodes and of the values between them begin with "normalize/", so
    that it can stand in front of any other graph.
    """
    written = _normalize.to_model_proto(ir_version=IR_VERSION)
    model = onnxscript.optimizer.optimize(written)  # puts the functions in place
    model.graph.name = "normalization"
    del model.graph.value_info[:]  # ONNX can infer it all again
    _rename(model.graph)
    onnx.checker.check_model(model, full_check=True)
    return model


def _rename(graph: onnx.GraphProto) -> None:
    """Names in place of onnxscript's `tmp_34`: the variable's, else the operator's."""
    kept = {value.name for value in [*graph.input, *graph.output]}
    names = {"": ""} | {name: name for name in kept}

    def name(old: str, stem: str) -> str:
        numbered = (f"normalize/{stem}_{n}" for n in itertools.count(2))
        candidates = itertools.chain([f"normalize/{stem}"], numbered)
        names[old] = next(new for new in candidates if new not in names.values())
        return names[old]

    for constant in graph.initializer:
        value = to_array(constant)
        shape = f"{value.dtype}{list(value.shape) or ''}"
        content = "_".join(f"{v:g}" for v in value.flat) if value.size < 4 else "pixels"
        constant.name = name(constant.name, f"{shape}_{content}")
    for node in graph.node:
        for output in node.output:
            if output not in names:
                made_up = output.startswith(("tmp", "_", "return_val"))
                name(output, node.op_type if made_up else re.sub(r"_\d+$", "", output))
        node.input[:] = [names[value] for value in node.input]
        node.output[:] = [names[value] for value in node.output]
        node.name = "normalize/" + node.output[0].removeprefix("normalize/")


def digit_model(lenet5: onnx.ModelProto) -> onnx.ModelProto:
    """`lenet5` with the normalisation in front of it; the names inside it stay.

    `lenet5` takes `images`, uint8 [N, 28, 28], and gives `probabilities`, float32
    [N, 10], and `label`, int64 [N]. The result takes `image`, uint8 [N, H, W], and gives
    `probabilities`, `label`, `normalized` and `has_ink`.
    """
    model = normalization_model()
    graph = model.graph
    graph.name = "digit"
    for node in lenet5.graph.node:
        joined = graph.node.add()
        joined.CopyFrom(node)
        joined.input[:] = ["normalized" if name == "images" else name for name in node.input]
    graph.initializer.extend(lenet5.graph.initializer)
    outputs = {value.name: value for value in [*lenet5.graph.output, *graph.output]}
    del graph.output[:]
    for name in ("probabilities", "label", "normalized", "has_ink"):
        graph.output.add().CopyFrom(outputs[name])
        graph.output[-1].type.tensor_type.shape.dim[0].dim_param = "N"
    domains = {entry.domain for entry in model.opset_import}
    model.opset_import.extend(e for e in lenet5.opset_import if e.domain not in domains)
    onnx.checker.check_model(model, full_check=True)
    return model
