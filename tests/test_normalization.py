"""The normalization graph against a NumPy reference of the same steps, and its promises."""

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper

from lenet_keras.data import Mnist
from lenet_keras.ship.normalization import digit_model, normalization_model
from lenet_keras.ship.parity import session

# --- The reference: one picture at a time, in double precision -----------------------


def thumbnail(picture: np.ndarray) -> tuple[np.ndarray, int]:
    """The means of k×k pixels, rounded, and k."""
    height, width = picture.shape
    k = max(1, -(-max(height, width) // 56))
    whole = np.pad(picture.astype(float), ((0, -height % k), (0, -width % k)), mode="edge")
    means = whole.reshape(-(-height // k), k, -(-width // k), k).mean(axis=(1, 3))
    return np.floor(means + 0.5), k


def windows(picture: np.ndarray, side: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(picture, (side, side))


def apart(small: np.ndarray) -> np.ndarray:
    """How far each pixel is from the mean of the 21×21 around it; 2 beyond the border count."""
    there = np.pad(np.pad(small, 2, mode="edge"), 8, constant_values=np.nan)
    return small - np.nanmean(windows(there, 21), axis=(2, 3))


def stands_out(small: np.ndarray) -> float:
    """Above 0 if light stands out, below if dark."""
    cubes = apart(small) ** 3
    border = (small[[0, -1]].mean() + small[:, [0, -1]].mean()) / 2
    lighter = (border - small.mean()) / max(np.ptp(small), 1)
    return cubes.sum() / max(np.abs(cubes).sum(), 1e-6) - np.clip(lighter, -0.3, 0.3)


def closed(dark: np.ndarray) -> np.ndarray:
    """The lightest of 15×15 pixels, then the darkest of 17×17 such."""
    border = (dark[[0, -1]].mean() + dark[:, [0, -1]].mean()) / 2
    larger = np.maximum(np.pad(dark, 15, mode="edge"), np.floor(border - np.ptp(dark) / 4 + 1e-3))
    larger[15:-15, 15:-15] = dark
    lightest = windows(larger, 15).max(axis=(2, 3))
    return windows(lightest, 17).min(axis=(2, 3))


def lines(black: np.ndarray) -> np.ndarray:
    """Which rows of the outer sixth are black, or next to it, for nine tenths of their length."""
    row = np.arange(len(black))
    outer = np.minimum(row, row[::-1]) * 6 < len(black) - 1
    return (next_to(black).mean(axis=1) > 0.899) & outer


def next_to(mask: np.ndarray) -> np.ndarray:
    return windows(np.pad(mask, 1), 3).any(axis=(2, 3))


def level_at(border: np.ndarray, share: float) -> float:
    """The lowest whole level that this share of the border is no higher than."""
    level = np.ceil(np.quantile(border, share, method="inverted_cdf"))
    return np.clip(level, -64, 192)


def find_ink(picture: np.ndarray) -> tuple[np.ndarray, float]:
    """How much ink each pixel has, and the paper's grain."""
    small, k = thumbnail(picture)
    sign = -1 if stands_out(small) > 0 else 1
    dark, small = sign * picture.astype(float), sign * small
    paper = closed(small)
    rows = paper[[0, -1]] - dark[[0, -1], ::k]
    columns = paper[:, [0, -1]] - dark[::k, [0, -1]]
    border = np.concatenate([rows.ravel(), columns.ravel()])
    quarter, half, three_quarters = (
        np.mean([level_at(border, (middle + by) / 100 - 1e-4) for by in (-9, -3, 3, 9)])
        for middle in (25, 50, 75)
    )
    grain = min(half - quarter, three_quarters - half)
    paper = paper - min(half, 32) - 3 * grain
    black = small < small.max() - 0.4 * np.ptp(small)
    rows, columns = lines(black), lines(black.T)
    no_frame = ~(rows[:, None] | columns) | ~(rows.any() & columns.any())
    small_ink = np.maximum(paper - small, 0) * no_frame
    density = blocks(np.sqrt(small_ink))
    kept = next_to(next_to(density > density.max() / 2.6) & (small_ink > 0)) & no_frame
    large = np.where(kept, paper, -999).repeat(k, axis=0).repeat(k, axis=1)
    height, width = picture.shape
    return np.maximum(large[:height, :width] - dark, 0), float(grain)


def blocks(picture: np.ndarray) -> np.ndarray:
    """The mean of the 3×3 pixels around each pixel, with 0 outside."""
    height, width = picture.shape
    framed = np.pad(picture, 1)
    total = np.zeros_like(picture)
    for down in range(3):
        for right in range(3):
            total += framed[down : down + height, right : right + width]
    return total / 9


def body(grey: np.ndarray) -> float:
    return float(np.sum(grey * grey) / max(np.sum(grey), 1e-6))


def shares(first: int, margin: float, step: float, length: int) -> np.ndarray:
    """What part of the window of output pixel i lies on input pixel j."""
    window = max(step, 1.0)
    result = np.zeros((28, length))
    for i in range(28):
        middle = first + (i + 0.5 - margin) * step
        for j in range(length):
            overlap = min(middle + window / 2, j + 1) - max(middle - window / 2, j)
            result[i, j] = max(overlap, 0.0) / window
    return result


def reference(picture: np.ndarray) -> tuple[np.ndarray, bool]:
    ink, grain = find_ink(picture)
    block = blocks(ink)
    small, _ = thumbnail(picture)
    if not block.max() > grain + 2 + np.ptp(small) / 32:
        return np.zeros((28, 28), np.uint8), False

    solid = (ink > ink.max() / 4) & (block > block.max() / 8)
    rows = np.flatnonzero(solid.any(axis=1)) if solid.any() else np.arange(picture.shape[0])
    columns = np.flatnonzero(solid.any(axis=0)) if solid.any() else np.arange(picture.shape[1])
    edges = [(rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1)]
    longer = max(end - first for first, end in edges)
    step = longer / 20

    near = []  # for rows and columns, which are in the box or next to it
    for (first, end), length in zip(edges, picture.shape, strict=True):
        position = np.arange(length)
        near.append((position + 1 > first - step) & (position < end + step))
    around = ink * np.outer(*near)

    weights = []
    for axis, ((first, end), length) in enumerate(zip(edges, picture.shape, strict=True)):
        mass = around.sum(axis=1 - axis)
        center = np.sum(mass * np.arange(length)) / max(mass.sum(), 1e-6) + 0.5
        margin = 14 - np.floor((center - first) / step + 1e-3)
        room = np.floor(28 + 1e-3 - (end - first) / step)
        weights.append(shares(first, max(min(margin, room), 0), step, length))
    grey = weights[0] @ ink @ weights[1].T

    if body(grey) < 0.6 * block.max():
        grey = blocks(grey)
    gain = max(1.0, 254 / max(grey.max(), 1e-6), 190 / max(body(grey), 1e-6))
    return np.minimum(np.floor(grey * gain + 0.5), 255).astype(np.uint8), True


# --- The graph ----------------------------------------------------------------------


GRAPH = session(normalization_model(), threads=1)


def normalize(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    normalized, has_ink = GRAPH.run(["normalized", "has_ink"], {"image": pictures})
    assert normalized.dtype == np.uint8 and normalized.shape == (len(pictures), 28, 28)
    assert has_ink.dtype == np.bool_ and has_ink.shape == (len(pictures),)
    return normalized, has_ink


def near_tie(picture: np.ndarray) -> bool:
    """As much dark stands out as light, to the accuracy of float: either may be taken."""
    return abs(stands_out(thumbnail(picture)[0])) < 1e-4


sides = st.integers(1, 40)
levels = st.integers(0, 255)


@st.composite
def drawn(draw: st.DrawFn, largest: int = 40) -> np.ndarray:
    """Paper, bars of ink, sometimes noise: pictures that are like pictures."""
    height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    picture = np.full((height, width), draw(levels), np.float64)
    for _ in range(draw(st.integers(0, 4))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        tall, wide = draw(st.integers(1, height)), draw(st.integers(1, width))
        picture[top : top + tall, left : left + wide] = draw(levels)
    noise = np.random.default_rng(draw(st.integers(0, 99))).normal(0, 1, picture.shape)
    picture += noise * draw(st.sampled_from([0, 0, 1, 5, 20]))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


anything = st.tuples(sides, sides).flatmap(lambda shape: arrays(np.uint8, shape))
pictures = drawn() | anything
many = settings(max_examples=300, deadline=None)


# --- The graph does what the reference does -------------------------------------------


@many
@given(pictures)
def test_graph_is_the_reference(picture: np.ndarray) -> None:
    """The same has_ink and the same place; greys within 1 of 255.

    The graph adds greys up in float, the reference in double, so that a grey that ends
    in exactly .5 may be rounded up by one and down by the other.
    """
    assume(not near_tie(picture))
    normalized, has_ink = normalize(picture[None])
    expected, expected_ink = reference(picture)
    assert has_ink[0] == expected_ink
    assert np.abs(normalized[0].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("times", [1, 3, 8])
@pytest.mark.mnist
def test_graph_is_the_reference_on_digits(mnist: Mnist, times: int) -> None:
    large = mnist.test.images[:60].repeat(times, 1).repeat(times, 2)
    normalized, _ = normalize(large)
    expected = np.stack([reference(picture)[0] for picture in large])
    difference = np.abs(normalized.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


# --- What it promises -----------------------------------------------------------------


@pytest.mark.mnist
def test_mnist_comes_back_as_it_is(mnist: Mnist) -> None:
    normalized, has_ink = normalize(mnist.test.images)
    difference = np.abs(normalized.astype(int) - mnist.test.images).max(axis=(1, 2))
    assert has_ink.all()
    assert np.mean(difference == 0) > 0.95  # others lose a speck of dust or are brightened,
    assert np.mean(difference <= 64) > 0.975  # few are moved or resized without it


@pytest.mark.parametrize("times", [3, 5, 10, 20])
@pytest.mark.mnist
def test_repeated_pixels_change_nothing(mnist: Mnist, times: int) -> None:
    """The mean over a repeated pixel is that pixel."""
    normalized, _ = normalize(mnist.test.images[:50])
    larger, _ = normalize(mnist.test.images[:50].repeat(times, 1).repeat(times, 2))
    assert np.abs(larger.astype(int) - normalized).max() <= 1


@many
@given(st.integers(1, 5), sides, sides, st.integers(0, 2**32 - 1))
def test_a_batch_gives_what_its_pictures_give(
    count: int, height: int, width: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    batch = rng.integers(0, 256, (count, height, width), np.uint8)
    batch[rng.random(batch.shape) < rng.random()] = rng.integers(0, 256)
    normalized, has_ink = normalize(batch)
    for i in range(count):
        alone, alone_ink = normalize(batch[i : i + 1])
        assert np.array_equal(alone[0], normalized[i]) and alone_ink[0] == has_ink[i]


@pytest.mark.mnist
def test_a_batch_of_digits_gives_what_its_digits_give(mnist: Mnist) -> None:
    large = 255 - mnist.test.images[:40].repeat(7, 1).repeat(7, 2)
    normalized, _ = normalize(large)
    for i in range(len(large)):
        assert np.array_equal(normalize(large[i : i + 1])[0][0], normalized[i])


@many
@given(pictures)
def test_inverted_pictures_give_the_same(picture: np.ndarray) -> None:
    assume(not near_tie(picture))
    normalized, has_ink = normalize(picture[None])
    inverted, inverted_ink = normalize(255 - picture[None])
    assert np.array_equal(inverted, normalized) and np.array_equal(inverted_ink, has_ink)


@many
@given(drawn(largest=20), st.lists(st.integers(0, 6), min_size=4, max_size=4), levels)
def test_more_paper_around_gives_the_same(picture: np.ndarray, pads: list[int], paper: int) -> None:
    """Where there is a margin of paper. A thin ring around a picture is a frame."""
    top, bottom, left, right = pads
    framed = np.pad(picture, 12, constant_values=paper)
    larger = np.pad(framed, ((top, bottom), (left, right)), constant_values=paper)
    assume(not near_tie(framed))
    first, first_ink = normalize(framed[None])
    second, second_ink = normalize(larger[None])
    assert np.array_equal(first_ink, second_ink)
    assert np.abs(first.astype(int) - second).max() <= 1


SHAPES = [(1, 1), (1, 2), (2, 1), (3, 3), (28, 28), (7, 300), (1, 4096), (4096, 1), (2, 4096)]


@pytest.mark.parametrize("shape", SHAPES)
def test_blank_pictures_have_no_ink(shape: tuple[int, int]) -> None:
    every_level = np.arange(256, dtype=np.uint8)
    for some in np.split(every_level, 16):
        normalized, has_ink = normalize(np.broadcast_to(some[:, None, None], (16, *shape)).copy())
        assert not has_ink.any() and not normalized.any()


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0, 10.0, 25.0])
@pytest.mark.parametrize("side", [28, 100, 600])
def test_noise_alone_is_no_ink(noise: float, side: int) -> None:
    rng = np.random.default_rng(7)
    paper = np.clip(np.rint(rng.normal(128, noise, (5, side, side))), 0, 255).astype(np.uint8)
    assert not normalize(paper)[1].any()


def test_faintest_ink() -> None:
    """A blob has to differ from even paper by more than 2 levels."""
    for levels_of_ink, expected in ((2, False), (3, True)):
        picture = np.full((1, 30, 30), 100, np.uint8)
        picture[:, 10:20, 12:15] += np.uint8(levels_of_ink)
        assert normalize(picture)[1][0] == expected


@pytest.mark.parametrize("shape", [(3, 3), (28, 28), (333, 77), (700, 3), (3, 700)])
def test_single_pixels_are_ink(shape: tuple[int, int]) -> None:
    picture = np.full((1, *shape), 255, np.uint8)
    picture[0, shape[0] // 2, shape[1] // 2] = 0
    normalized, has_ink = normalize(picture)
    assert has_ink[0] and normalized.max() >= 254


@many
@given(pictures)
def test_ink_is_bright_and_central(picture: np.ndarray) -> None:
    normalized, has_ink = normalize(picture[None])
    assert has_ink[0] == normalized.any()
    if has_ink[0]:
        assert normalized.max() >= 254


@pytest.mark.mnist
def test_dust_does_not_shrink_the_digit(mnist: Mnist) -> None:
    clean = np.pad(mnist.test.images[:50].repeat(5, 1).repeat(5, 2), ((0, 0), (60, 60), (60, 60)))
    dusty = clean.copy()
    dusty[:, 3, 5] = dusty[:, 250, 100] = 255
    assert np.array_equal(normalize(dusty)[0], normalize(clean)[0])


def on_paper(digits: np.ndarray) -> np.ndarray:
    """Dark on light, five times as large, with a margin: uint8 [N, 200, 200]."""
    large = digits.repeat(5, 1).repeat(5, 2) / 255
    return np.rint(220 - 160 * np.pad(large, ((0, 0), (30, 30), (30, 30)))).astype(np.uint8)


@pytest.mark.mnist
def test_a_frame_is_no_ink(mnist: Mnist) -> None:
    plain = on_paper(mnist.test.images[:50])
    framed = plain.copy()
    framed[:, [5, 6, 7, 8, 191, 192, 193, 194]] = 60
    framed[:, :, [5, 6, 7, 8, 191, 192, 193, 194]] = 60
    assert np.array_equal(normalize(framed)[0], normalize(plain)[0])


@pytest.mark.parametrize("light", [0.5, 0.7])
@pytest.mark.mnist
def test_a_shadow_is_no_ink(mnist: Mnist, light: float) -> None:
    plain = on_paper(mnist.test.images[:50])
    shadowed = plain.copy()
    shadowed[:, :, :30] = np.rint(shadowed[:, :, :30] * light)
    assert np.array_equal(normalize(shadowed)[0], normalize(plain)[0])
    blank = np.where(np.arange(200) < 90, 220 * light, 220).astype(np.uint8)
    assert not normalize(np.broadcast_to(blank, (1, 200, 200)))[1].any()


@pytest.mark.parametrize("pen", [1, 2, 5, 15])
def test_pens_on_a_large_canvas(pen: int) -> None:
    """A "7" drawn on 300×300 is as bright as MNIST's, however thin the pen."""
    picture = np.full((1, 300, 300), 255, np.uint8)
    picture[0, 50 : 50 + pen, 80:200] = 0
    for row in range(50, 250):
        column = 200 - (row - 50) // 3
        picture[0, row, column - pen // 2 : column + pen - pen // 2] = 0
    normalized, has_ink = normalize(picture)
    assert has_ink[0] and 10 < normalized.mean() < 80
    assert normalized[normalized > 0].mean() > 100


# --- The files, and what is not a picture ---------------------------------------------


@pytest.mark.parametrize("shape", [(1, 0, 5), (1, 5, 0), (1, 0, 0), (2, 0, 0)])
def test_pictures_without_pixels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(Exception, match=r"out of data bounds|shape|value of 0"):
        GRAPH.run(None, {"image": np.zeros(shape, np.uint8)})


def test_no_pictures_give_no_answers() -> None:
    normalize(np.zeros((0, 30, 40), np.uint8))


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.int8, np.bool_])
def test_wrong_dtypes_are_refused(dtype: type) -> None:
    with pytest.raises(Exception, match="Unexpected input data type"):
        GRAPH.run(None, {"image": np.zeros((1, 28, 28), dtype)})


@pytest.mark.parametrize("shape", [(), (28,), (28, 28), (1, 28, 28, 1)])
def test_wrong_ranks_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(Exception, match="Invalid rank"):
        GRAPH.run(None, {"image": np.zeros(shape, np.uint8)})


def test_the_graph_is_plain_onnx() -> None:
    model = normalization_model()
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    assert model.ir_version == 8 and not model.functions
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert {node.domain for node in model.graph.node} == {""}
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"Loop", "Scan", "If", "CastLike", "Constant"}
    assert len({node.name for node in model.graph.node}) == len(model.graph.node)
    assert normalization_model().SerializeToString() == model.SerializeToString()


def classifier() -> onnx.ModelProto:
    """Stands for LeNet-5: a linear layer with made-up weights."""
    weights = np.random.default_rng(0).normal(0, 1e-4, (784, 10)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], "pixels", to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["pixels"], ["flat"], "flat"),
        helper.make_node("MatMul", ["flat", "weights"], ["scores"], "scores"),
        helper.make_node("Softmax", ["scores"], ["probabilities"], "probabilities"),
        helper.make_node("ArgMax", ["probabilities"], ["label"], "label", axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 28, 28])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10]),
        ],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_digit_model_is_one_after_the_other() -> None:
    lenet5 = classifier()
    before = lenet5.SerializeToString()
    model = digit_model(lenet5)
    assert lenet5.SerializeToString() == before
    assert model.ir_version == 8
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    assert [value.name for value in model.graph.input] == ["image"]
    names = ["probabilities", "label", "normalized", "has_ink"]
    assert [value.name for value in model.graph.output] == names
    assert [node.name for node in model.graph.node[-5:]] == [
        node.name for node in lenet5.graph.node
    ]

    batch = np.random.default_rng(1).integers(0, 256, (6, 50, 33), np.uint8)
    batch[3:] = 9  # blank
    probabilities, label, normalized, has_ink = session(model).run(names, {"image": batch})
    expected, expected_ink = normalize(batch)
    assert np.array_equal(normalized, expected) and np.array_equal(has_ink, expected_ink)
    run = session(lenet5).run(["probabilities", "label"], {"images": normalized})
    assert np.array_equal(probabilities, run[0]) and np.array_equal(label, run[1])
    assert np.isfinite(probabilities).all()
