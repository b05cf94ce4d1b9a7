"""The files under export/ as an app developer finds them: whole, documented, unbreakable."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from pen import drawn
from PIL import Image
from playwright.sync_api import expect
from web import EXPORT, installed, npm, served

from lenet_keras.score import wilson_interval
from lenet_keras.ship.graphs import PICTURE
from lenet_keras.ship.onnx_export import LARGEST_INT8_LOSS
from lenet_keras.ship.parity import answers, check

FILES = ("digit.onnx", "lenet5.onnx", "lenet5-int8.onnx", "lenet5-float.onnx")
CARD = (EXPORT / "MODEL_CARD.md").read_text(encoding="utf-8")


def session(name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is meant to fail need not be logged
    return onnxruntime.InferenceSession(EXPORT / name, options)


@pytest.mark.parametrize("name", FILES)
def test_whole_and_with_everything_about_itself(name):
    model = onnx.load(EXPORT / name)
    check(model)
    row = re.search(rf"\| {re.escape(name)} \| \d+ \| (\S+) % \|", CARD)
    about = {entry.key: entry.value for entry in model.metadata_props}
    more = {"lenet5-float.onnx": set(PICTURE), "digit.onnx": {"temperature", "threshold"}}
    shared = {"classes", "data", "model_author", "model_license", "recipe", "source"}
    shared |= {"test_error_percent", "validation_error_percent"}
    assert set(about) == shared | more.get(name, set())
    assert float(about["test_error_percent"]) == float(row[1])
    assert about["data"].startswith("mnist (50000 training digits), SHA-256 ")
    assert model.producer_name == "lenet-keras"


def test_digests():
    sums = (EXPORT / "SHA256SUMS").read_text()
    found = {name: hashlib.sha256((EXPORT / name).read_bytes()).hexdigest() for name in FILES}
    assert dict(line.split()[::-1] for line in sums.splitlines()) == found
    assert sums in CARD


def test_sizes():
    assert len(onnx.load(EXPORT / "lenet5.onnx").graph.node) == 15
    bytes_ = {name: (EXPORT / name).stat().st_size for name in FILES}
    assert bytes_["lenet5-int8.onnx"] < 0.3 * bytes_["lenet5.onnx"]


@pytest.mark.mnist
def test_errors_are_those_of_the_card(mnist):
    images, labels = mnist.test
    wrong = {}
    for name in FILES:
        _, found = answers(session(name), images)
        wrong[name] = int((found != labels).sum())
        row = re.search(rf"\| {re.escape(name)} \| (\d+) \| ", CARD)
        # another processor may round a digit on the edge the other way
        assert abs(int(row[1]) - wrong[name]) <= 1
    loss = 100 * (wrong["lenet5-int8.onnx"] - wrong["lenet5.onnx"]) / len(labels)
    assert loss <= LARGEST_INT8_LOSS


@pytest.mark.mnist
@pytest.mark.parametrize("name", FILES[:3])  # the fourth takes one picture
def test_every_batch_size_gives_the_same_bits(mnist, name):
    run, images = session(name), mnist.test.images[:1_500]
    feed = run.get_inputs()[0].name
    together = run.run(None, {feed: images})
    for size in (1, 3, 64, 500):
        starts = range(0, len(images), size)
        parts = zip(*(run.run(None, {feed: images[i : i + size]}) for i in starts))
        for whole, pieces in zip(together, parts):
            np.testing.assert_array_equal(whole, np.concatenate(pieces))


def test_hugging_face_reads_the_card():
    """Its own parser finds who, under which licence, and how well each file does on what."""
    about = pytest.importorskip("huggingface_hub").ModelCard(CARD).data
    assert (about.license, about.pipeline_tag) == ("mit", "image-classification")
    assert about.datasets == ["ylecun/mnist"] and about.model_name == "lenet-keras"
    found = {result.metric_name: result for result in about.eval_results}
    assert set(found) == {f"Accuracy, {name}" for name in FILES}
    for name in FILES:
        row = re.search(rf"\| {re.escape(name)} \| (\d+) \| ", CARD)
        result = found[f"Accuracy, {name}"]
        assert result.metric_value == pytest.approx(1 - int(row[1]) / 10_000)
        assert (result.dataset_type, result.dataset_split) == ("ylecun/mnist", "test")


def test_the_cards_intervals_and_confusion_add_up():
    rows = re.findall(r"\| (\S+\.onnx) \| (\d+) \| (\S+) % \| (\S+) to (\S+) % \|", CARD)
    assert [row[0] for row in rows] == list(FILES)
    for _, wrong, error, low, high in rows:
        assert f"{int(wrong) / 100:.2f}" == error
        assert (low, high) == tuple(f"{x:.2f}" for x in wilson_interval(int(wrong), 10_000))
    table = re.findall(r"\| \*\*\d\*\* \| (.+) \|", CARD)
    confusion = np.array([[int(cell) for cell in row.split("|")] for row in table])
    assert confusion.shape == (10, 10) and confusion.sum() == 10_000
    assert 10_000 - confusion.trace() == int(rows[0][1])


def test_wilson_interval():
    # Wilson's own formula solved by hand for 1 of 10: 0.0179 and 0.4042
    assert wilson_interval(1, 10) == pytest.approx((1.787, 40.415), abs=0.002)
    assert wilson_interval(0, 10)[0] == 0
    assert wilson_interval(10, 10)[1] == pytest.approx(100)


def test_the_cards_sizes_are_the_files():
    for name in FILES:
        row = re.search(rf"\| {re.escape(name)} \|[^\n]* ([\d,]+) \|", CARD.split("## Size")[1])
        assert row[1] == f"{(EXPORT / name).stat().st_size:,}", "run benchmarks/model_card.py again"


def test_the_cards_tables_are_the_printed_ones():
    results = EXPORT.parent / "benchmarks" / "results"
    for name in ("pictures", "inference", "limits", "runtimes"):
        assert (results / f"{name}.md").read_text(encoding="utf-8").strip() in CARD, name


def test_no_change_of_picture_costs_more_than_it_may():
    first = CARD.split("## Pictures as they come")[1].split("Harder")[0]
    points = [float(p) for p in re.findall(r"% \| ([+-]\d+\.\d+) \|", first)]
    assert len(points) == 20 and max(points) <= 0.3


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("name", ["lenet5", "lenet5-int8", "lenet5-float", "digit"])
def test_the_model_zoos_test_data(name, number):
    folder, run = EXPORT / "test_data" / name / f"test_data_set_{number}", session(f"{name}.onnx")
    tensors = {p.stem: onnx.load_tensor(p) for p in folder.glob("*.pb")}
    values = {t.name: numpy_helper.to_array(t) for t in tensors.values()}
    (feed,), names = run.get_inputs(), [output.name for output in run.get_outputs()]
    files = ["input_0", *(f"output_{k}" for k in range(len(names)))]
    assert sorted(tensors) == files and [tensors[f].name for f in files] == [feed.name, *names]
    for output, found in zip(names, run.run(names, {feed.name: values[feed.name]})):
        # another processor may round a byte of int8 the other way
        np.testing.assert_allclose(found, values[output], atol=0.01 if "int8" in name else 1e-5)
    if (name, number) in (("lenet5", 1), ("digit", 0)):
        assert values["label"].tolist() == list(range(10))
    if (name, number) == ("digit", 1):
        assert values["label"].tolist() == [7] and values["image"].shape == (1, 280, 280)
    if (name, number) == ("digit", 2):
        assert values["has_ink"].tolist() == values["is_digit"].tolist() == [False]


@pytest.fixture
def seven(digits, tmp_path):
    picture = digits.test.images[int(np.flatnonzero(digits.test.labels == 7)[0])]
    Image.fromarray(picture).save(tmp_path / "digit.png")
    shutil.copy(EXPORT / "digit.onnx", tmp_path)
    return picture


def snippet(language: str, number: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", CARD, re.S)[number]


def assert_it_reads(command: list[str], seven: np.ndarray, folder: Path) -> None:
    """The program, as the card has it, says of digit.png what it should."""
    on_nothing = np.stack([np.zeros_like(seven), seven], axis=-1)  # as drawing programs keep it
    pictures = {"7": [seven, on_nothing], None: [np.zeros_like(seven), drawn("A")]}
    for expected, shown in pictures.items():
        for picture in shown:
            Image.fromarray(picture).save(folder / "digit.png")
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
            said = re.findall(r"[\d.]+", done.stdout)
            if expected is None:
                assert said == [], done.stdout
            else:
                assert said[0] == expected and 0.5 < float(said[1]) <= 1


def test_the_cards_python(seven, tmp_path):
    assert_it_reads([sys.executable, "-c", snippet("python")], seven, tmp_path)


def test_the_cards_openvino(seven, tmp_path):
    pytest.importorskip("openvino")
    image = "import numpy as np, PIL.Image\nimage = np.asarray(PIL.Image.open('digit.png'))\n"
    say = "print(is_digit[0], label[0], len(probabilities[0]))"
    for picture, said in ((seven, "True 7 10"), (drawn("A"), "False ")):
        Image.fromarray(picture).save(tmp_path / "digit.png")
        command = [sys.executable, "-c", image + snippet("python", 1) + say]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(said)


def test_the_cards_javascript(seven, tmp_path):
    installed("node")  # skips where there is no Node
    npm(tmp_path, "install", "--ignore-scripts", "sharp@0.35")
    runtime = EXPORT / "node" / "node_modules" / "onnxruntime-node"
    (tmp_path / "node_modules" / "onnxruntime-node").symlink_to(runtime)
    (tmp_path / "read.cjs").write_text(snippet("javascript"))
    assert_it_reads(["node", "read.cjs"], seven, tmp_path)


PATIENT = 180_000  # milliseconds, where other work goes on
LISTENING = """
const add = EventTarget.prototype.addEventListener;
EventTarget.prototype.addEventListener = function (type, ...rest) {
  globalThis.listening ||= type === "change";
  return add.call(this, type, ...rest);
};
"""


def test_the_cards_page(seven, browser, tmp_path):
    installed("web")
    engine = EXPORT / "web" / "node_modules" / "onnxruntime-web" / "dist"
    for name in set(re.findall(r"ort[-.]wasm[-\w.]*\.(?:mjs|wasm)", snippet("html"))):
        shutil.copy(engine / name, tmp_path)
    size = sum(path.stat().st_size for path in tmp_path.glob("ort*"))
    assert f" {size / 1e6:.0f} MB, and serve" in CARD
    (tmp_path / "index.html").write_text(snippet("html"))
    Image.new("L", (60, 40), 255).save(tmp_path / "blank.png")
    with served(tmp_path) as url, browser.new_page() as page:
        page.add_init_script(LISTENING)
        page.goto(url)
        page.wait_for_function("globalThis.listening", timeout=PATIENT)  # it loads the model first
        (tmp_path / "notes.txt").write_text("7")
        for file, said in (
            ("digit.png", "7, "),
            ("blank.png", "Not like any digit."),
            ("notes.txt", "Not a picture"),
        ):
            page.locator("input").set_input_files(tmp_path / file)
            expect(page.locator("output")).to_contain_text(said, timeout=PATIENT)


# --- fuzz ---


def pictures(rng: np.random.Generator) -> np.ndarray:
    """A batch of the kinds of pictures that break programs."""
    longest = int(rng.choice([3, 30, 300, 4096]))
    shape = [int(rng.integers(1, 5)), int(rng.integers(1, longest + 1)), int(rng.integers(1, 9))]
    if rng.random() < 0.5:
        shape[1:] = shape[:0:-1]
    kind = rng.integers(5)
    if kind == 0:
        return np.full(shape, rng.integers(256), np.uint8)
    if kind == 1:
        return rng.integers(0, 256, shape, dtype=np.uint8)
    batch = np.full(shape, rng.integers(256), np.uint8)
    if kind == 2:
        batch[:, rng.integers(shape[1]), rng.integers(shape[2])] = rng.integers(256)
    elif kind == 3:
        batch[:, : rng.integers(1, shape[1] + 1), : rng.integers(1, shape[2] + 1)] ^= 255
    else:
        batch += rng.integers(0, rng.integers(1, 255), shape, dtype=np.uint8)
    return batch


def test_five_thousand_odd_pictures_get_a_finite_answer():
    run, rng = session("digit.onnx"), np.random.default_rng(2026)
    for _ in range(5_000):
        batch = pictures(rng)
        probabilities, label, normalized, has_ink, is_digit = run.run(None, {"image": batch})
        assert np.isfinite(probabilities).all()
        assert np.abs(probabilities.sum(axis=1) - 1).max() < 1e-5
        assert (label == probabilities.argmax(axis=1)).all()
        assert normalized.shape == (len(batch), 28, 28)
        assert not normalized[~has_ink].any() and not is_digit[~has_ink].any()
        flat = batch.reshape(len(batch), -1)
        assert not has_ink[flat.min(axis=1) == flat.max(axis=1)].any()  # one color is blank


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 28, 28), np.float32),
        np.zeros((1, 28, 28), np.int64),
        np.zeros((1, 28, 28), bool),
        np.zeros((28, 28), np.uint8),
        np.zeros((1, 1, 28, 28), np.uint8),
        np.zeros((1, 0, 28), np.uint8),
        np.zeros((1, 28, 0), np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_what_is_no_picture_is_refused(wrong):
    run = session("digit.onnx")
    with pytest.raises(Exception, match=r"INVALID_ARGUMENT|data type|Reshape|value of 0"):
        run.run(None, {"image": wrong})
    assert len(run.run(["label"], {"image": np.zeros((0, 28, 28), np.uint8)})[0]) == 0
    assert run.run(["has_ink"], {"image": np.eye(28, dtype=np.uint8)[None] * 255})[0].all()
