"""The classifier takes whatever a person has, and needs neither Keras nor TensorFlow."""

import io
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from pen import drawn
from PIL import Image

from lenet_keras import Classifier
from lenet_keras.ship.classifier import ClassifyError, read_picture


@pytest.fixture(scope="module")
def classifier():
    return Classifier(threads=1)


@pytest.fixture(scope="module")
def seven(digits):
    """A digit that the committed model reads: the first 7 for testing."""
    return digits.test.images[int(np.flatnonzero(digits.test.labels == 7)[0])]


def test_it_imports_neither_keras_nor_tensorflow():
    code = (
        "import sys, numpy as np; from lenet_keras import Classifier;"
        "Classifier()(np.zeros((9, 9), np.uint8));"
        "assert not {'keras', 'tensorflow', 'matplotlib', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_whatever_a_person_has_gives_the_same_answer(classifier, seven, tmp_path):
    image = Image.fromarray(seven)
    paths = {name: tmp_path / name for name in ("a.png", "a.bmp", "a.tiff", "a.gif", "rgb.png")}
    for name, path in paths.items():
        (image.convert("RGB") if name == "rgb.png" else image).save(path)
    ink = Image.merge("LA", (Image.new("L", (28, 28), 0), image))  # black ink on nothing
    ink.save(tmp_path / "clear.png")
    wide = Image.fromarray(seven.astype(np.uint16) * 257)
    wide.save(tmp_path / "16bit.png")
    turned = Image.fromarray(np.rot90(seven))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    turned.save(tmp_path / "turned.png", exif=exif)

    expected = classifier(seven)
    assert expected.label == 7 and expected.has_ink and expected.is_digit
    assert expected.probability == expected.probabilities[7] == expected.probabilities.max()
    assert expected.normalized.shape == (28, 28) and expected.normalized.dtype == np.uint8
    everything = [image, *paths.values(), *map(str, paths.values())]
    everything += [tmp_path / name for name in ("clear.png", "16bit.png", "turned.png")]
    for answer in classifier(everything):
        assert answer.label == 7
        np.testing.assert_allclose(answer.probabilities, expected.probabilities, atol=1e-6)


def test_one_or_several(classifier, digits):
    images = digits.test.images[:5]
    several = classifier(images)
    assert isinstance(several, list) and len(several) == 5
    assert [a.label for a in several] == [classifier(image).label for image in images]
    assert [a.label for a in classifier(iter(images))] == [a.label for a in several]
    assert classifier([]) == []


def test_stream_keeps_the_order_of_mixed_shapes_and_reads_no_further_than_it_must(
    classifier, digits
):
    pictures = [np.pad(digits.test.images[i], (0, i // 3)) for i in range(12)]
    assert [a.label for a in classifier.stream(pictures)] == [classifier(p).label for p in pictures]

    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield np.full((1024, 1024), taken % 256, np.uint8)

    next(classifier.stream(endless()))
    assert taken <= 3


def test_each_gives_an_error_in_place_of_what_cannot_be_read(classifier, digits):
    images = digits.test.images[:4]
    named = [("a", images[0]), ("b", "nowhere.png"), ("c", images[1]), ("d", 5), ("e", images[2])]
    found = list(classifier.each(iter(named)))
    assert [name for name, _ in found] == ["a", "b", "c", "d", "e"]
    assert [isinstance(answer, ClassifyError) for _, answer in found] == [False, True] * 2 + [False]
    assert [found[i][1].label for i in (0, 2, 4)] == [a.label for a in classifier(images[:3])]


def test_narrow_grey_pictures_go_in_a_list(classifier):
    narrow = np.full((5, 9, 3), 255, np.uint8)
    assert [answer.has_ink for answer in classifier(list(narrow))] == [False] * 5


def test_a_blank_picture_has_no_label(classifier):
    answer = classifier(np.full((50, 40), 255, np.uint8))
    assert answer.label is None and not answer.has_ink and not answer.is_digit
    assert np.isfinite(answer.probabilities).all()


def test_a_letter_is_refused_and_ten_digits_are_not(classifier):
    digits = classifier([drawn(digit) for digit in range(10)])
    assert [(answer.label, answer.is_digit) for answer in digits] == [(i, True) for i in range(10)]
    letter = classifier(drawn("A"))
    assert letter.has_ink and not letter.is_digit
    assert letter.label == letter.probabilities.argmax()  # the best guess
    assert letter.probability < min(answer.probability for answer in digits)


def test_a_file_from_before_there_was_is_digit(classifier, tmp_path):
    model = onnx.load(Path(__file__).parent.parent / "export" / "digit.onnx")
    (output,) = (each for each in model.graph.output if each.name == "is_digit")
    model.graph.output.remove(output)
    onnx.save(model, tmp_path / "before.onnx")
    pictures = [drawn("A"), drawn(7), np.full((280, 280), 255, np.uint8)]
    before = Classifier(tmp_path / "before.onnx")(pictures)
    assert [answer.is_digit for answer in before] == [True, True, False]  # has_ink
    now = classifier(pictures)
    assert [answer.is_digit for answer in now] == [False, True, False]
    assert [answer.label for answer in before] == [answer.label for answer in now]


def test_a_damaged_weight_in_our_own_file_is_noticed(tmp_path, monkeypatch):
    export = Path(__file__).parent.parent / "export"
    content = bytearray((export / "digit.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "digit.onnx").write_bytes(content)
    (tmp_path / "SHA256SUMS").write_bytes((export / "SHA256SUMS").read_bytes())
    Classifier(tmp_path / "digit.onnx")  # somebody's own: it loads
    monkeypatch.setattr("lenet_keras.ship.classifier.own_model", lambda: tmp_path / "digit.onnx")
    with pytest.raises(ClassifyError, match="is damaged"):
        Classifier()


def test_it_can_be_sent_to_another_process(classifier, seven, tmp_path):
    copy = pickle.loads(pickle.dumps(classifier))
    assert copy(seven).probabilities.tobytes() == classifier(seven).probabilities.tobytes()


def test_reading_leaves_the_programs_warnings_alone(classifier, seven, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(40)]
    for path in paths:
        Image.fromarray(seven).save(path)
    before = list(warnings.filters)
    threads = [threading.Thread(target=classifier, args=(paths,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_a_model_that_fails_when_it_runs_is_a_sentence(tmp_path, seven):
    """It loads, with the right names; but a Reshape in it does not fit its values."""
    helper, types = onnx.helper, onnx.TensorProto
    outputs = {"probabilities": types.FLOAT, "label": types.INT64, "normalized": types.UINT8}
    nodes = [helper.make_node("Constant", [], ["shape"], value_ints=[7, 7, 7])]
    nodes += [helper.make_node("Reshape", ["image", "shape"], ["odd"])]
    for name, kind in (outputs | {"has_ink": types.BOOL}).items():
        nodes += [helper.make_node("Cast", ["odd"], [name], to=kind)]
    graph = helper.make_graph(
        nodes,
        "digit",
        [helper.make_tensor_value_info("image", types.UINT8, ["N", "H", "W"])],
        [
            helper.make_tensor_value_info(name, kind, None)
            for name, kind in (outputs | {"has_ink": types.BOOL}).items()
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=opsets), tmp_path / "x.onnx")
    with pytest.raises(ClassifyError, match=r"x\.onnx failed on a picture"):
        Classifier(tmp_path / "x.onnx")(seven)


def test_threads_may_share_one(classifier, digits):
    expected = [a.probabilities.tobytes() for a in classifier(digits.test.images)]
    wrong = []

    def ask():
        for _ in range(5):
            found = [a.probabilities.tobytes() for a in classifier(digits.test.images)]
            wrong.extend([found] if found != expected else [])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        (np.zeros((28, 28)), "must be grey uint8"),
        (np.zeros((28, 28), bool), "must be grey uint8"),
        (np.zeros(28, np.uint8), "must be grey uint8"),
        (np.zeros((1, 2, 3, 4), np.uint8), "must be grey uint8"),
        (np.zeros((480, 640, 3), np.uint8), "looks like one color picture"),
        (np.zeros((28, 28, 1), np.uint8), "looks like one color picture"),
        ([np.zeros((28, 28, 4), np.uint8)], "looks like one color picture"),
        (np.zeros((0, 5), np.uint8), "sides of 1 to 4,096"),
        (np.zeros((1, 5000), np.uint8), "sides of 1 to 4,096"),
        ([3], "A int is not a picture"),
        (5, "A int is not a picture"),
        (None, "A NoneType is not a picture"),
        (Image.new("L", (0, 0)), "sides of 1 to 4,096"),
        ("nowhere.png", "nowhere.png cannot be read: No such file"),
        (Path("."), "cannot be read"),
    ],
)
def test_what_is_no_picture_gets_a_sentence(classifier, picture, sentence):
    with pytest.raises(ClassifyError, match=sentence) as caught:
        classifier(picture)
    assert "\n" not in str(caught.value)


def test_damaged_pictures_get_a_sentence(tmp_path, seven):
    buffer = io.BytesIO()
    Image.fromarray(seven).save(buffer, "PNG")
    whole = buffer.getvalue()
    path = tmp_path / "picture.png"
    none, cut = "not in one of the formats PNG", "is a damaged picture"
    contents = {b"": none, b"GIF": none, whole[: len(whole) // 2]: cut, whole[:40]: none}
    for content, said in contents.items():
        path.write_bytes(content)
        with pytest.raises(ClassifyError, match=rf"picture\.png .*{said}"):
            read_picture(path)


def test_a_picture_that_was_opened_may_be_damaged_too(classifier, tmp_path):
    Image.linear_gradient("L").save(tmp_path / "cut.png")
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with Image.open(tmp_path / "cut.png") as image, pytest.raises(ClassifyError, match="damaged"):
        classifier(image)


def test_a_picture_larger_than_4096_is_reduced(tmp_path):
    Image.new("L", (5000, 100), 255).save(tmp_path / "wide.png")
    assert read_picture(tmp_path / "wide.png").shape == (82, 4096)


def test_a_file_that_is_no_digit_onnx(tmp_path):
    export = Path(__file__).parent.parent / "export"
    with pytest.raises(
        ClassifyError, match=r"is not a digit\.onnx: it takes images and gives label, prob"
    ):
        Classifier(export / "lenet5.onnx")
    one = onnx.helper.make_node("Constant", [], ["one"], value_float=1.0)
    output = onnx.helper.make_tensor_value_info("one", onnx.TensorProto.FLOAT, [])
    graph = onnx.helper.make_graph([one], "one", [], [output])
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, ir_version=8, opset_imports=opsets)
    onnx.save(model, tmp_path / "digit.onnx")
    with pytest.raises(ClassifyError, match="it takes nothing and gives one"):
        Classifier(tmp_path / "digit.onnx")
    (tmp_path / "digit.onnx").unlink()
    with pytest.raises(ClassifyError, match="cannot be read: No such file"):
        Classifier(tmp_path / "digit.onnx")
    whole = (export / "digit.onnx").read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2]):
        (tmp_path / "digit.onnx").write_bytes(content)
        with pytest.raises(ClassifyError, match="damaged or not an ONNX model"):
            Classifier(tmp_path / "digit.onnx")
