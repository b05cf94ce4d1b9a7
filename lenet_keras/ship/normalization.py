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
browser all run one and the same code:

    input   image       uint8 [N, H, W]    grey, any H and W from 1 to 4096,
                                           ink dark on light or light on dark
    output  normalized  uint8 [N, 28, 28]  light ink (up to 255) on black paper (0)
    output  has_ink     bool  [N]          false for a blank picture, then all 0

The steps, each a paragraph of `_normalize` below:

    1. paper    the background level is the median of the picture's border
    2. ink      all that is darker than the paper, or all that is lighter: whichever
                stands out more; what is no stronger than the paper's grain is dropped
    3. box      the rows and columns that hold solid ink, not a mere speck of dust
    4. mass     the centre of mass of the ink in and right around the box
    5. place    the box's longer side becomes 20 pixels, and the pixel that holds the
                centre of mass becomes pixel (14, 14), counted from 0
    6. scale    every output pixel is the mean of the ink it covers (anti-aliasing)
    7. lift     strokes that scaling made thin and faint become as thick and as bright
                as MNIST's own, and the brightest ink becomes white

98 in 100 of MNIST's own digits come out as they went in: their paper has neither level
nor grain, and they are 20 pixels long, centred and bright already. Nearly all others are
a little brightened; 1 in 300 has ends so faint that it is moved or resized by a pixel.

The box and the place are decided on sums of multiples of 1/4, which floating point
holds exactly, so they cannot depend on the order of summation; and no picture of a batch
looks at another. So a batch gives what its pictures give one at a time.
"""

import itertools
import re

import numpy as np
import onnx
import onnxscript.optimizer
from onnx.numpy_helper import from_array, to_array
from onnxscript import DOUBLE, FLOAT, INT64, UINT8, script
from onnxscript import opset17 as op

IR_VERSION = 8  # old enough for every build of ONNX Runtime for Node and the browser

SIZE = 28.0  # the side of the picture that the network sees
BOX = 20.0  # the longer side of the digit in it
CENTRE = 14.0  # the row, and the column, of the pixel that gets the centre of mass

GRAIN = 3.0  # ink begins at 3 × the paper's median deviation: 2 σ where that is Gaussian
FAINTEST = 2.0  # levels of 255 that a blob of ink differs from even paper, at least
SOLID = 4.0  # solid ink has 1/4 of the strongest ink of the picture …
DENSE = 8.0  # … and the 3×3 pixels around it have 1/8 of the densest such block
THIN = 0.6  # strokes are thin if scaling took 4/10 of their ink; of MNIST's own, under 3/10
PEAK = 254.0  # MNIST's digits all have their brightest pixel at 254 or 255 …
BODY = 190.0  # … and 98 in 100 have a body (see `_body`) above 190
TINY = 1e-6  # keeps 0/0 away from blank pictures

FLOAT_ = onnx.TensorProto.FLOAT  # for pixels
DOUBLE_ = onnx.TensorProto.DOUBLE  # for places: the moments of 4096² pixels fit exactly
UINT8_ = onnx.TensorProto.UINT8
PIXELS = from_array(np.arange(SIZE))


@script(default_opset=op)
def _median(values: FLOAT["N", "L"]) -> FLOAT["N", 1]:
    """The median of each row, for an even length: the mean of the two in the middle."""
    middle = op.Shape(values, start=1) / op.Constant(value_ints=[2])
    upper_half, _ = op.TopK(values, middle + 1, axis=1)
    return op.ReduceMean(op.Slice(upper_half, [-2], [9999], [1]), axes=[1])


@script(default_opset=op)
def _extent(solid: FLOAT["N", "L"]):
    """Where each row's first 1 begins and its last 1 ends; the whole row if all are 0."""
    first = op.Cast(op.ArgMax(solid, axis=1), to=DOUBLE_)
    last = op.Cast(op.ArgMax(solid, axis=1, select_last_index=1), to=DOUBLE_)
    return first, last + 1.0


@script(default_opset=op)
def _near(first: DOUBLE["N", 1], end: DOUBLE["N", 1], step: DOUBLE["N", 1], length: INT64):
    """1 for the pixels of the box and up to one output pixel around it, else 0."""
    position = op.Cast(op.Range(0, length, 1), to=DOUBLE_)
    return op.Cast(op.And(position + 1.0 > first - step, position < end + step), to=FLOAT_)


@script(default_opset=op)
def _centre_of_mass(mass: FLOAT["N", "L"], length: INT64):
    """The mean position of each row's mass, in pixels from the picture's edge."""
    position = op.Cast(op.Range(0, length, 1), to=DOUBLE_)
    exact = op.Cast(mass, to=DOUBLE_)
    total = op.ReduceSum(exact, [1])
    return op.ReduceSum(exact * position, [1]) / op.Max(total, op.CastLike(TINY, total)) + 0.5


@script(default_opset=op)
def _margin(
    first: DOUBLE["N", 1], end: DOUBLE["N", 1], longer: DOUBLE["N", 1], centre: DOUBLE["N", 1]
):
    """How many output pixels come before the box: all of it has to stay inside."""
    before_centre = CENTRE - op.Floor((centre - first) * BOX / longer)
    room = op.Floor(SIZE - (end - first) * BOX / longer)
    return op.Max(op.Min(before_centre, room), op.CastLike(0.0, room))


@script(default_opset=op)
def _shares(first: DOUBLE["N", 1], margin: DOUBLE["N", 1], step: DOUBLE["N", 1], length: INT64):
    """How much of each output pixel's window each input pixel fills, [N, 28, L].

    An output pixel covers `step` input pixels; the mean over that window is the
    anti-aliasing. A window is at least 1 pixel wide, which makes enlarging bilinear.
    """
    pixel = op.Constant(value=PIXELS)
    middle = op.Unsqueeze(first + (pixel + 0.5 - margin) * step, [2])
    window = op.Unsqueeze(op.Max(step, op.CastLike(1.0, step)), [2])
    position = op.Cast(op.Range(0, length, 1), to=DOUBLE_)
    begin = op.Max(middle - window / 2.0, position)
    end = op.Min(middle + window / 2.0, position + 1.0)
    return op.Cast(op.Max(end - begin, op.CastLike(0.0, end)) / window, to=FLOAT_)


@script(default_opset=op)
def _blocks(picture: FLOAT["N", "H", "W"]):
    """The mean of the 3×3 pixels around each pixel, with 0 outside of the picture."""
    channel = op.Unsqueeze(picture, [1])
    mean = op.AveragePool(channel, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    return op.Squeeze(mean, [1])


@script(default_opset=op)
def _body(grey: FLOAT["N", 28, 28]):
    """How bright the ink is: the mean of the greys, each weighted with itself."""
    total = op.ReduceSum(grey, [1, 2])
    return op.ReduceSum(grey * grey, [1, 2]) / op.Max(total, op.CastLike(TINY, total))


@script(default_opset=op)
def _normalize(image: UINT8["N", "H", "W"]):
    height = op.Squeeze(op.Shape(image, start=1, end=2), [0])
    width = op.Squeeze(op.Shape(image, start=2, end=3), [0])

    # 1. Paper. A median shrugs off strokes that touch the border. The grain is the
    # median distance from it: 0 for a drawn picture, about 0.67 σ for noisy paper.
    sides = op.Concat(
        op.Gather(image, 0, axis=1),
        op.Gather(image, -1, axis=1),
        op.Gather(image, 0, axis=2),
        op.Gather(image, -1, axis=2),
        axis=1,
    )
    border = op.Cast(sides, to=FLOAT_)
    paper = _median(border)
    grain = _median(op.Abs(border - paper))

    # 2. Ink. Squares let a little strong ink outweigh much faint noise.
    level = op.Cast(image, to=FLOAT_)
    dark = op.Relu(op.Unsqueeze(paper - grain * GRAIN, [2]) - level)
    light = op.Relu(level - op.Unsqueeze(paper + grain * GRAIN, [2]))
    dark_energy = op.ReduceSumSquare(dark, axes=[1, 2])
    light_energy = op.ReduceSumSquare(light, axes=[1, 2])
    ink = op.Where(dark_energy > light_energy, dark, light)

    # 3. Box. A pixel counts if it is strong and its neighbours are too: else one speck
    # of dust far from the digit would shrink the digit to a dot. Where nothing is
    # solid, `_extent` gives the whole picture, so that all that follows stays finite.
    block = _blocks(ink)
    strongest = op.ReduceMax(ink, axes=[1, 2])
    densest = op.ReduceMax(block, axes=[1, 2])
    ink_found = densest > op.Unsqueeze(grain + FAINTEST, [2])
    solid = op.Cast(op.And(ink > strongest / SOLID, block > densest / DENSE), to=UINT8_)
    top, bottom = _extent(op.ReduceMax(solid, axes=[2], keepdims=0))
    left, right = _extent(op.ReduceMax(solid, axes=[1], keepdims=0))

    # 4. Mass. The ink next to the box belongs to it: the fringe of an anti-aliased
    # stroke. Noise farther away does not.
    longer = op.Max(bottom - top, right - left)
    step = longer / BOX
    near_rows = _near(top, bottom, step, height)
    near_columns = _near(left, right, step, width)
    row_mass = op.Squeeze(op.MatMul(ink, op.Unsqueeze(near_columns, [2])), [2]) * near_rows
    column_mass = op.Squeeze(op.MatMul(op.Unsqueeze(near_rows, [1]), ink), [1]) * near_columns
    row_centre = _centre_of_mass(row_mass, height)
    column_centre = _centre_of_mass(column_mass, width)

    # 5. Place. Whole pixels, as in MNIST: a digit of 20 pixels is moved, not resampled.
    rows_before = _margin(top, bottom, longer, row_centre)
    columns_before = _margin(left, right, longer, column_centre)

    # 6. Scale. Rows and columns apart: two products of matrices instead of one sum over
    # all pixels for each output pixel.
    row_shares = _shares(top, rows_before, step, height)
    column_shares = _shares(left, columns_before, step, width)
    scaled = op.MatMul(op.MatMul(row_shares, ink), op.Transpose(column_shares, perm=[0, 2, 1]))

    # 7. Lift. A stroke thinner than an output pixel has lost part of its ink to the
    # paper around it. Spread it over the 3×3 pixels around, as thick as MNIST's pens,
    # and let the gain make up for the loss.
    grey = op.Where(_body(scaled) < densest * THIN, _blocks(scaled), scaled)
    peak = op.ReduceMax(grey, axes=[1, 2])
    gain = op.Max(1.0, PEAK / op.Max(peak, TINY), BODY / op.Max(_body(grey), TINY))
    lifted = op.Min(op.Floor(grey * gain + 0.5), 255.0)
    normalized = op.Cast(op.Where(ink_found, lifted, op.CastLike(0.0, lifted)), to=UINT8_)
    has_ink = op.Squeeze(ink_found, [1, 2])
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
