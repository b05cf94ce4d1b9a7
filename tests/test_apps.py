"""The apps under export/, run as their READMEs say, against Python's answers."""

import base64
import contextlib
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import onnx
import onnxruntime
import pytest
from pen import CONTRAST, answer_is, draw, draw_by_finger, drawn, ink, it_says, on_the_pad, trace
from PIL import Image
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import expect
from web import EXPORT, installed, npm, served, shot

from lenet_keras import DrawingPad

ROOT = Path(__file__).parent.parent
N = 1_000


@pytest.fixture(scope="module")
def test_digits(request, digits):
    """A thousand held-out digits: MNIST's, or the embedded ones where there is no MNIST."""
    try:
        return request.getfixturevalue("mnist").test.images[:N]
    except pytest.skip.Exception:
        return np.concatenate([digits.train.images, digits.test.images])[:N]


@pytest.fixture(scope="module")
def expected(test_digits):
    session = onnxruntime.InferenceSession(EXPORT / "digit.onnx")
    return session.run(["label"], {"image": test_digits})[0]


@pytest.fixture(scope="module")
def is_digit(test_digits):
    session = onnxruntime.InferenceSession(EXPORT / "digit.onnx")
    return session.run(["is_digit"], {"image": test_digits})[0]


@pytest.fixture(scope="module")
def pictures(test_digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for i, digit in enumerate(test_digits):
        Image.fromarray(digit).save(folder / f"{i:04}.png")
    return folder


def command_of(app: str) -> list[str]:
    if app == "python":
        return [sys.executable, str(EXPORT / "python/classify.py")]
    installed("node")
    return ["node", str(EXPORT / "node/classify.mjs")]


def asked(app, *files):
    """What the app says of the files: the finished process, and its answers by file."""
    command = [*command_of(app), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done, dict(line.split("\t") for line in done.stdout.splitlines())


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks, each a name and what is in it."""
    whole = b"\x89PNG\r\n\x1a\n"
    for name, content in (*chunks, (b"IEND", b"")):
        check = struct.pack(">I", zlib.crc32(name + content))
        whole += struct.pack(">I", len(content)) + name + content + check
    return whole


def header(
    width: int, height: int, depth: int = 8, interlaced: bool = False
) -> tuple[bytes, bytes]:
    """A PNG's first chunk, of a grey picture."""
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, interlaced)


def zeros(n: int) -> tuple[bytes, bytes]:
    """A PNG's chunk of pixels: n bytes of zero, packed."""
    pack = zlib.compressobj()
    pieces = [pack.compress(bytes(min(1 << 24, n - at))) for at in range(0, n, 1 << 24)]
    return b"IDAT", b"".join([*pieces, pack.flush()])


def interlaced(picture: np.ndarray) -> bytes:
    """As Adam7 goes: seven coarse pictures of it, each finer. Pillow writes none."""
    passes = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2),
              (1, 2, 0, 1))  # fmt: skip
    rows = [
        b"\0" + row.tobytes()
        for top, down, left, across in passes
        for row in picture[top::down, left::across]
    ]
    height, width = picture.shape
    pixels = zlib.compress(b"".join(rows))
    return png(header(width, height, interlaced=True), (b"IDAT", pixels))


@pytest.mark.parametrize("app", ["python", "node"])
def test_a_thousand_digits(app, pictures, expected, is_digit):
    files = sorted(map(str, pictures.iterdir()))
    done, answers = asked(app, *files)
    assert done.returncode == 0, done.stderr
    assert list(answers) == files
    assert [int(answer.split()[-2]) for answer in answers.values()] == expected.tolist()
    assert [answer[0] != "?" for answer in answers.values()] == is_digit.tolist()


@pytest.mark.parametrize("app", ["python", "node"])
def test_pictures_of_any_kind(app, test_digits, expected, tmp_path):
    digit = Image.fromarray(test_digits[expected == 7][0])  # nothing else when turned or mirrored
    large = digit.resize((280, 280))
    Image.merge("LA", (Image.new("L", digit.size, 20), digit)).save(tmp_path / "transparent.png")
    Image.fromarray(255 - np.asarray(large)).convert("P").save(tmp_path / "palette.png")
    faint = 50_000 - 100 * np.asarray(large).astype(np.uint16)  # clipped to a byte it is blank
    Image.fromarray(faint).save(tmp_path / "16 bits.png")
    large.convert("RGB").save(tmp_path / "color.jpg")
    (tmp_path / "interlaced.png").write_bytes(interlaced(np.asarray(digit.resize((77, 75)))))
    digit.resize((4500, 4500)).save(tmp_path / "huge.png")
    digit.resize((8064, 6048)).convert("RGB").save(tmp_path / "as phones take them.jpg")
    as_the_camera_was_held = {
        1: [], 2: ["FLIP_LEFT_RIGHT"], 3: ["ROTATE_180"], 4: ["FLIP_TOP_BOTTOM"],
        5: ["TRANSPOSE"], 6: ["ROTATE_90"], 7: ["TRANSVERSE"], 8: ["ROTATE_270"],
    }  # fmt: skip
    for orientation, turns in as_the_camera_was_held.items():
        exif, turned = Image.Exif(), large.crop((0, -40, 280, 280))
        exif[0x0112] = orientation
        for turn in turns:
            turned = turned.transpose(Image.Transpose[turn])
        turned.save(tmp_path / f"turned {orientation}.jpg", exif=exif)
    Image.new("L", (60, 40), 255).save(tmp_path / "blank.png")
    Image.fromarray(drawn("A")).save(tmp_path / "letter.png")

    done, answers = asked(app, *tmp_path.iterdir())
    assert done.returncode == 0, done.stderr
    assert answers.pop(str(tmp_path / "blank.png")) == "blank"
    assert re.fullmatch(r"\? \d [01]\.\d{3}", answers.pop(str(tmp_path / "letter.png")))
    assert len(answers) == 15
    assert {answer.split()[0] for answer in answers.values()} == {"7"}, answers
    turned = {float(answers[str(tmp_path / f"turned {i}.jpg")].split()[1]) for i in range(1, 9)}
    assert max(turned) - min(turned) < 0.02  # JPEG's blocks are turned as well


@pytest.mark.parametrize("app", ["python", "node"])
def test_a_file_that_cannot_be_read_gets_a_sentence(app, pictures, expected, tmp_path):
    good = (pictures / "0000.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(good[: len(good) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "notes.txt").write_text("P2 is how a PGM begins, which this is not.")
    Image.new("L", (13_500, 13_500)).save(tmp_path / "vast.jpg", quality=10)
    names = ("cut.png", "empty.png", "notes.txt", "nowhere.png", "vast.jpg")
    files = [tmp_path / name for name in names]
    done, answers = asked(app, *files, tmp_path, pictures / "0000.png")
    assert done.returncode == 1
    assert [answer[0] for answer in answers.values()] == [str(expected[0])]  # the rest go on
    complaints = done.stderr.splitlines()
    whys = ["picture", "picture", "picture", "no such file", "too large", "folder"]
    for complaint, file, why in zip(complaints, [*files, tmp_path], whys, strict=True):
        said = complaint.removeprefix(f"{file} cannot be read: ").lower()
        assert said.endswith(".") and why in said.replace("directory", "folder"), complaint


LARGE, DAMAGED = "it is too large", "it is no PNG or JPEG picture, or a damaged one"


@pytest.fixture
def bombs(tmp_path):
    """Small files that would take minutes, or gigabytes, and what is to be said of each."""
    pngs = {
        "vast": (LARGE, png(header(30_000, 30_000, 1), zeros(30_000 * 3_751))),
        "thin": (LARGE, png(header(1, 39_999_999), zeros(2 * 39_999_999))),
        "lying": (DAMAGED, png(header(10, 10, interlaced=True), zeros(1 << 29))),
        "two headers": (DAMAGED, png(header(10, 10), header(30_000, 30_000), zeros(1 << 20))),
        "no width": (DAMAGED, png(header(0, 10), zeros(10))),
    }
    Image.new("L", (16, 16)).save(tmp_path / "good.jpg", progressive=True)
    good = (tmp_path / "good.jpg").read_bytes()
    size, scans = good.index(b"\xff\xc2") + 5, good.index(b"\xff\xda")
    jpegs = {
        "large": (LARGE, good[:size] + struct.pack(">HH", 7_100, 7_100) + good[size + 4 :]),
        "scans": (DAMAGED, good[:scans] + 500 * good[scans:-2] + b"\xff\xd9"),
    }
    whys = {}
    for ending, pictures in (("png", pngs), ("jpg", jpegs)):
        for name, (why, content) in pictures.items():
            assert len(content) < 600_000
            whys[tmp_path / f"{name}.{ending}"] = why
            (tmp_path / f"{name}.{ending}").write_bytes(content)
    with open(tmp_path / "long.png", "wb") as file:
        file.truncate(1 << 30)
    return whys | {tmp_path / "long.png": LARGE}


def test_node_refuses_a_bomb_by_what_it_says_of_itself(pictures, expected, bombs, run_and_weigh):
    command = [*command_of("node"), *map(str, bombs), str(pictures / "0000.png")]
    done, kib = run_and_weigh(command)
    assert done.returncode == 1
    assert done.stdout.split("\t")[1][0] == str(expected[0])  # the rest go on
    for complaint, (file, why) in zip(done.stderr.splitlines(), bombs.items(), strict=True):
        assert complaint.startswith(f"{file} cannot be read: {why}") and complaint.endswith(".")
    assert kib < 400 * 1024  # 90 MiB without any picture, 280 for a file that is too long


@pytest.mark.parametrize("app", ["node", "web"])
def test_lock_files_name_no_host(app):
    lock = (EXPORT / app / "package-lock.json").read_text()
    assert '"resolved"' not in lock and '"integrity"' in lock


# --- the page ---


@pytest.fixture(scope="module")
def dist():
    installed("web")
    npm(EXPORT / "web", "run", "build")
    return EXPORT / "web/dist"


@contextlib.contextmanager
def opened(browser, url, complete=True, **options):
    """The page at url, ready; afterwards: it has called nobody else and thrown nothing.

    complete: no file of it is missing, so that the browser has nothing to say either.
    """
    options = {"viewport": {"width": 1280, "height": 720}, "locale": "en-GB", **options}
    with browser.new_context(**options) as context:
        hosts, errors = set(), []
        context.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        context.on("weberror", lambda error: errors.append(str(error.error)))
        # what it breaks of its Content-Security-Policy would be said there
        if complete:
            context.on("console", lambda line: line.type == "error" and errors.append(line.text))
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector("body[data-ready]")
        yield page
        assert hosts - {""} == {urlsplit(url).netloc}
        assert errors == []


def recognize(page, digits, what):
    """What the page's own module says of these pictures."""
    return page.evaluate(
        """async ([text, n]) => {
             const { load, recognize } = await import("./lenet.js");
             const session = await load();
             const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
             const answers = [];
             for (let i = 0; i < n; i++) {
               const picture = new ImageData(28, 28);
               for (let j = 0; j < 784; j++) {
                 picture.data.fill(bytes[784 * i + j], 4 * j, 4 * j + 3);
               }
               const r = await recognize(session, picture);
               answers.push(WHAT);
             }
             return answers;
           }""".replace("WHAT", what),
        [base64.b64encode(digits).decode(), len(digits)],
    )


@pytest.fixture(scope="module")
def page(browser, dist):
    with served(dist) as url, opened(browser, url) as page:
        yield page


@pytest.fixture
def pad(page):
    page.locator(".clear").click()
    answer_is(page, "")
    return page


@pytest.mark.parametrize("digit", range(10))
def test_every_digit_is_read_while_it_is_drawn(pad, digit):
    draw(pad, digit)
    answer_is(pad, digit)
    expect(pad.locator(".answer")).to_have_attribute("aria-busy", "false")  # so it is read aloud
    it_says(pad.locator(".lenet-pad"), digit)
    if digit == 3:
        shot(pad, "web.png")
        pad.get_by_role("button", name="中文").click()
        shot(pad, "zh/web.png")
        pad.get_by_role("button", name="English").click()


def test_what_is_not_like_any_digit_is_no_confident_one(pad):
    draw(pad, "A")
    answer_is(pad, "?")
    said = pad.locator(".answer[aria-live=polite]")
    expect(said).to_have_attribute("aria-busy", "false")  # so it is read aloud
    sentence = re.compile(r"^Not like any digit\. Its best guess is \d, \d+\.\d\s% sure\.$")
    expect(said).to_have_text(sentence)
    assert pad.locator(".bars li.best").count() == 0
    shot(pad, "web-letter.png")
    pad.get_by_role("button", name="中文").click()
    expect(said).to_have_text(re.compile("^不像任何数字。最接近的是 \\d，"))
    pad.get_by_role("button", name="English").click()
    answer = "({ label, isDigit }) => [label in [...Array(10)], isDigit]"
    assert pad.locator("digit-reader").evaluate(f"reader => ({answer})(reader.answer)") == [
        True,
        False,
    ]
    pad.keyboard.press("Control+z")
    pad.keyboard.press("Control+z")
    draw(pad, 4)  # and what is one is one
    answer_is(pad, 4)
    it_says(pad.locator(".lenet-pad"), 4)


def test_what_the_network_saw_and_both_layers_light_up(pad):
    def colors(canvas):
        return pad.locator(canvas).evaluate(
            "c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
            " return [c.width, c.height, new Set(new Uint32Array(d.buffer)).size] }"
        )

    assert colors(".saw") == [28, 28, 1]
    draw(pad, 2)
    answer_is(pad, 2)
    assert colors(".saw")[2] > 20
    assert colors("#conv1")[:2] == [64, 51] and colors("#conv1")[2] > 100
    assert colors("#conv2")[:2] == [49, 24] and colors("#conv2")[2] > 60
    maps = pad.locator(".maps").bounding_box()
    assert maps["y"] + maps["height"] <= 720  # all in sight at once


def test_a_few_bytes_more_make_inner_values_outputs(pad, test_digits):
    call = "async (names) => [...(await import('./lenet.js')).withOutputs(new Uint8Array(), names)]"
    added = bytes(pad.evaluate(call, ["relu1", "relu2"]))
    outputs = onnx.ModelProto.FromString(added).graph.output
    assert [output.name for output in outputs] == ["relu1", "relu2"]
    assert all(output.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for output in outputs)

    model = added + (EXPORT / "digit.onnx").read_bytes()
    in_python = onnxruntime.InferenceSession(model).run(
        ["probabilities", "normalized", "relu1", "relu2"], {"image": test_digits[:1]}
    )
    values = "[r.probabilities, r.normalized, ...r.maps.map((m) => m.values)].map((v) => [...v])"
    in_the_browser = recognize(pad, test_digits[:1], values)[0]
    for ours, theirs in zip(in_the_browser, in_python):
        np.testing.assert_allclose(ours, theirs.ravel(), atol=1e-5)


def test_undo_and_clear(pad):
    draw(pad, 7)
    answer_is(pad, 7)
    draw(pad, 4)
    pad.keyboard.press("Control+z")
    pad.get_by_role("button", name="Undo").click()
    answer_is(pad, 7)
    pad.get_by_role("button", name="Clear").click()
    answer_is(pad, "")
    assert pad.locator(".answer").text_content() == "Draw a digit"


def test_undo_brings_back_what_clear_or_a_photo_took(pad, pictures, expected):
    draw(pad, 4)
    answer_is(pad, 4)
    pad.get_by_role("button", name="Clear").click()
    answer_is(pad, "")
    pad.get_by_role("button", name="Undo").click()
    answer_is(pad, 4)
    pad.locator("input").set_input_files(pictures / "0000.png")
    answer_is(pad, expected[0])
    pad.keyboard.press("Control+z")
    answer_is(pad, 4)
    pad.keyboard.press("Control+z")
    pad.keyboard.press("Control+z")
    answer_is(pad, "")


def test_letters_act_on_the_pad_alone_and_ctrl_z_anywhere(pad):
    """WCAG 2.1.4: who speaks to the computer, or misses a key, clears nothing."""
    canvas = pad.locator(".pad")
    blank = ink(canvas)
    draw(pad, 4)
    four = ink(canvas)
    for elsewhere in ("nav button >> nth=0", ".undo", "input"):
        pad.locator(elsewhere).focus()
        pad.keyboard.type("cu")
        assert ink(canvas) == four, elsewhere
        pad.keyboard.press("Control+z")
        assert ink(canvas) not in (four, blank), elsewhere  # one of its two strokes
        pad.keyboard.press("Control+z")
        assert ink(canvas) == blank, elsewhere
        draw(pad, 4)
    pad.evaluate("document.activeElement.shadowRoot.activeElement.blur()")
    pad.keyboard.type("cu")
    assert ink(canvas) == four
    canvas.focus()
    for clears, undoes in (("c", "u"), ("Escape", "Control+z"), ("Delete", "U"), ("C", "u")):
        pad.keyboard.press(clears)
        assert ink(canvas) == blank, clears
        pad.keyboard.press(undoes)
        assert ink(canvas) == four, undoes


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_edge_of_the_pad_can_be_seen(page, scheme):
    page.emulate_media(color_scheme=scheme)
    assert page.locator(".pad").evaluate(CONTRAST) >= 3
    page.emulate_media(color_scheme="light")


INKED = """() => {
  const { width, height, data } = document.querySelector("digit-reader").picture();
  const at = [...Array(width * height).keys()].filter((i) => data[4 * i] < 128);
  const across = at.map((i) => i % width), down = at.map((i) => Math.floor(i / width));
  return [width, height, ...[across, down].flatMap((all) => [Math.min(...all), Math.max(...all)])];
}"""


@pytest.mark.parametrize("digit", range(10))
def test_a_digit_a_fifth_as_large_is_read_as_well(pad, digit):
    draw(pad, digit, 0.2, (0.7, 0.1))
    answer_is(pad, digit)
    width, height, left, right, top, bottom = pad.evaluate(INKED)
    assert (width, height) == (280, 280)
    # the longer side is 196 pixels and a pen of 22 long, and all is in the middle
    assert max(right - left, bottom - top) + 1 == pytest.approx(196 + 22.4, abs=4)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((139.5, 139.5), abs=3)


def test_a_dot_stays_a_dot(pad):
    trace(pad, [(0.2, 0.9)])
    expect(pad.locator(".digit")).not_to_be_empty()
    _, _, left, right, top, bottom = pad.evaluate(INKED)
    assert (right - left + 1, bottom - top + 1) == pytest.approx((22.4, 22.4), abs=2)


def test_several_digits_are_read_one_by_one(pad, tmp_path):
    draw(pad, 1, 0.5, (0.0, 0.2))
    answer_is(pad, 1)
    draw(pad, 0, 0.5, (0.4, 0.2))
    answer_is(pad, "?")
    assert re.search(r"one by one it reads 1, 0;", pad.locator(".answer").text_content(), re.I)
    reader = pad.locator("digit-reader")
    assert reader.evaluate("reader => reader.answer.digits") == [1, 0]
    pad.keyboard.press("u")
    answer_is(pad, 1)
    pad.locator(".clear").click()
    draw(pad, 4)  # two strokes, and one digit
    answer_is(pad, 4)
    for what, said in ((5, r"one by one it reads \?, 5;"), ("A", "not like any digit")):
        pad.locator(".clear").click()
        draw(pad, "A", 0.5, (0.0, 0.2))
        draw(pad, what, 0.5, (0.5, 0.2))
        expect(pad.locator(".answer")).to_have_text(re.compile(said, re.I))
        answer_is(pad, "?")


def lamp(picture):
    """A grey photo of it: 40 % less light on the right, and a grain of 4 levels."""
    noise = np.random.RandomState(1).normal(scale=4, size=picture.shape)
    light = np.linspace(1, 0.6, picture.shape[1])
    return Image.fromarray((picture * light + noise).clip(0, 255).astype(np.uint8))


def test_the_digits_of_a_photo_and_a_box_around_one(pad, tmp_path, test_digits, expected):
    first = [int(np.flatnonzero(expected == label)[0]) for label in (3, 7, 2)]
    row = (
        np.concatenate([np.pad(test_digits[i], 8) for i in first], axis=1).repeat(8, 0).repeat(8, 1)
    )
    lamp(230 - 0.8 * row).save(tmp_path / "row.png")
    pad.locator("input").set_input_files(tmp_path / "row.png")
    answer_is(pad, "?")
    assert re.search(r"one by one it reads 3, 7, 2;", pad.locator(".answer").text_content(), re.I)

    # the photo is three times as wide as high, in the middle of the pad; a box around the second
    corners = [(0.35, 0.35), (0.65, 0.65)]
    trace(pad, corners, lift=False)
    photo = ink(pad.locator(".pad"))  # with the box on it
    shot(pad, "web-photo.png")
    pad.mouse.up()
    answer_is(pad, 7)
    assert ink(pad.locator(".pad")) != photo
    pad.keyboard.press("Control+z")
    answer_is(pad, "?")

    trace(pad, corners[:1])  # no box: nothing happens
    answer_is(pad, "?")
    pad.locator("nav button").last.focus()
    pad.keyboard.press("Tab")  # and the same without a mouse, from the middle of the pad
    for key, times in (("ArrowLeft", 8), ("ArrowUp", 8), (" ", 1), ("ArrowRight", 15)):
        for _ in range(times):
            pad.keyboard.press(key)
    for _ in range(15):
        pad.keyboard.press("ArrowDown")
    pad.keyboard.press(" ")
    answer_is(pad, 7)


def test_a_digit_beside_a_shadow_is_read(pad, tmp_path):
    paper = np.full((400, 400), 235, np.uint8)
    paper[:, 200:] = 60  # a hard shadow, darker than the ink
    paper[60:160, 95:105] = 150
    Image.fromarray(paper).save(tmp_path / "shadow.png")
    pad.locator("input").set_input_files(tmp_path / "shadow.png")
    answer_is(pad, 1)


def test_a_digit_with_a_bar_beside_it_is_read_when_it_is_cut_out(pad, tmp_path):
    paper = np.full((400, 400), 235, np.uint8)
    paper[250:300, 220:380] = 60  # as dark as ink and as wide as a digit
    paper[60:160, 95:105] = 150
    Image.fromarray(paper).save(tmp_path / "bar.png")
    pad.locator("input").set_input_files(tmp_path / "bar.png")
    expect(pad.locator(".digit")).to_have_text(re.compile("[^1]"))
    trace(pad, [(0.1, 0.1), (0.4, 0.45)])
    answer_is(pad, 1)


def test_undo_keeps_few_photos(pad):
    kept = pad.evaluate(
        """async () => {
             const reader = document.querySelector("digit-reader");
             for (let i = 1; i <= 6; i++) {
               const canvas = new OffscreenCanvas(20 * i, 20);
               canvas.getContext("2d").fillRect(0, 0, 9, 9);
               if (!(await reader.open(await canvas.convertToBlob()))) return "refused";
             }
             const widths = () => reader.picture().width;
             const seen = [widths()];
             for (let i = 0; i < 4; i++) { reader.undo(); seen.push(widths()); }
             return seen;
           }"""
    )
    assert kept == [120, 100, 80, 60, 280]


ELSEWHERE = """<!doctype html><html lang="zh-Hans"><title>Another page</title>
<h1>Another page</h1>
<digit-reader></digit-reader><digit-reader lang="en"></digit-reader>
<script type="module" src="reader/digit-reader.js"></script>
<script type="module">
  globalThis.heard = [];
  const hear = ({ target, detail }) => heard.push([target.lang, detail?.label]);
  document.addEventListener("read", hear);
  await customElements.whenDefined("digit-reader");
  globalThis.readers = [...document.querySelectorAll("digit-reader")];
  globalThis.ready = await Promise.all(readers.map((reader) => reader.ready));
  document.body.dataset.ready = "true";
</script>"""


def test_the_reader_is_an_element_for_any_page(browser, dist, tmp_path):
    (tmp_path / "reader").symlink_to(dist)
    (tmp_path / "index.html").write_text(ELSEWHERE)
    sent = []
    with served(tmp_path, sent) as url, opened(browser, url, complete=False) as page:  # no icon
        assert page.evaluate("ready") == [True, True]
        assert len([path for path, _ in sent if path.endswith("digit.onnx")]) == 1
        chinese, english = (page.locator("digit-reader").nth(i) for i in (0, 1))
        assert "数字" in chinese.locator(".answer").text_content()
        assert english.locator(".answer").text_content() == "Draw a digit"
        english.locator(".pad").scroll_into_view_if_needed()
        draw(english, 1)
        answer_is(english, 1)
        assert page.evaluate("[readers[0].answer, readers[1].answer.label]") == [None, 1]
        assert page.evaluate("heard.at(-1)") == ["en", 1]
        page.evaluate("readers[1].lang = 'zh'")
        assert english.locator(".answer").text_content().startswith("这是 1")
        page.evaluate("readers[1].clear()")
        answer_is(english, "")


def test_the_download_shows_how_far_it_is(browser, dist):
    with served(dist) as url, browser.new_context(locale="en-GB") as context:
        page = context.new_page()
        waiting = []
        page.route("**/digit.onnx", lambda route: waiting.append(route))
        page.goto(url)
        progress = page.locator("progress")
        expect(progress).to_be_visible()
        assert progress.get_attribute("aria-label") == page.locator(".answer").text_content()
        draw(page, 1)  # one need not wait
        assert not page.locator(".notice").is_visible()
        for _ in range(1200):
            if waiting:
                break
            page.wait_for_timeout(50)
        waiting[0].continue_()
        page.unroute("**/digit.onnx")
        answer_is(page, 1)
        expect(progress).to_have_count(0)
        parts = page.evaluate(
            """async () => {
                 const parts = [];
                 await (await import("./lenet.js")).load((part) => parts.push(part));
                 return parts;
               }"""
        )
        assert parts == sorted(parts) and parts[0] > 0 and parts[-1] == 1


@pytest.mark.parametrize("size", [(320, 200), (320, 256)])  # 1280 pixels wide, enlarged 4 times
def test_enlarged_four_times_all_of_it_can_be_reached(browser, dist, size):
    options = {"viewport": dict(zip(("width", "height"), size))}
    with served(dist) as url, opened(browser, url, **options) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        pad = page.locator(".pad").bounding_box()
        assert pad["height"] < size[1] and pad["width"] < size[0] - 60  # room to scroll beside it
        too_wide = """() => {
          const inside = (root) => [...root.querySelectorAll("*")].flatMap((each) =>
            [each, ...(each.shadowRoot ? inside(each.shadowRoot) : [])]);
          const wide = ({ scrollWidth, clientWidth, tagName }) =>
            clientWidth && scrollWidth > clientWidth + 1 && tagName !== "INPUT";
          return inside(document).filter(wide).map((each) => each.outerHTML);
        }"""
        page.locator(".pad").scroll_into_view_if_needed()
        draw(page, 3)
        answer_is(page, 3)
        assert page.evaluate(too_wide) == []
        shot(page, f"web-{size[0]}x{size[1]}.png")


def test_bars_can_be_seen_in_the_persons_own_colors(pad):
    pad.emulate_media(forced_colors="active")
    draw(pad, 3)
    answer_is(pad, 3)
    colors = pad.locator(".bars li.best i").evaluate(
        "bar => [getComputedStyle(bar, '::before').backgroundColor,"
        " getComputedStyle(bar).backgroundColor, getComputedStyle(bar).outlineStyle]"
    )
    pad.emulate_media(forced_colors="none")
    assert colors[0] != colors[1] and colors[2] == "solid"


def test_a_cell_of_the_first_layer_tells_how_it_came_about(pad):
    draw(pad, 8)
    answer_is(pad, 8)
    farthest = pad.evaluate(
        """async () => {
             const { lookInto } = await import("./closer.js");
             const { answer } = document.querySelector("digit-reader");
             const off = [...answer.maps[0].values].map((value, i) => {
               const [map, row, column] = [Math.floor(i / 144), Math.floor(i / 12) % 12, i % 12];
               const looked = lookInto(answer, map, row, column);
               const sum = looked.pixels.reduce((sum, p, i) => sum + p * looked.kernel[i], 0);
               const { top, left } = looked;
               const inside = Math.floor(top / 2) === row && Math.floor(left / 2) === column;
               return inside ? Math.abs(Math.max(0, sum + looked.bias) - value) : Infinity;
             });
             return Math.max(...off);
           }"""
    )
    assert farthest < 1e-4
    closer, maps = pad.locator("#closer"), pad.locator("#conv1")
    expect(closer).to_be_hidden()
    maps.hover(position={"x": 25, "y": 25})
    expect(closer).to_be_visible()
    shot(pad, "web-closer.png")
    text = closer.locator("p").text_content()
    maps.hover(position={"x": 40, "y": 40})
    expect(closer.locator("p")).not_to_have_text(text)
    pad.mouse.move(5, 5)
    expect(closer).to_be_hidden()
    pad.locator(".lenet-pad input").focus()
    pad.keyboard.press("Tab")
    expect(maps).to_be_focused()
    expect(closer).to_be_visible()
    texts = set()
    for _ in range(14):  # on to the next map
        pad.keyboard.press("ArrowRight")
        texts.add(closer.locator("p").text_content())
    assert len(texts) > 5
    pad.keyboard.press("Escape")
    expect(closer).to_be_hidden()


def test_the_page_has_its_card_and_license_beside_it(pad, dist):
    links = pad.locator(".links a").evaluate_all("all => all.map((a) => a.getAttribute('href'))")
    assert links[-2:] == ["card.txt", "license.txt"]
    for name, source in (("card.txt", EXPORT / "MODEL_CARD.md"), ("license.txt", ROOT / "LICENSE")):
        assert (dist / name).read_text(encoding="utf-8-sig") == source.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "remote, address",
    [
        ("git@example.org:someone/lenet.git", "https://example.org/someone/lenet"),
        ("https://me:secret@example.org/someone/lenet", "https://example.org/someone/lenet"),
        ("ssh://git@example.org:2222/a/b.git/", "https://example.org/a/b"),
        ("/srv/git/lenet.git", None),
        ("../lenet", None),
    ],
)
def test_the_page_links_to_where_the_code_came_from(tmp_path, remote, address):
    if not shutil.which("node"):
        pytest.skip("needs Node")
    web = tmp_path / "export/web"
    (web / "dist").mkdir(parents=True)
    shutil.copy(EXPORT / "web/index.html", web / "dist")
    shutil.copy(EXPORT / "MODEL_CARD.md", tmp_path / "export")
    shutil.copy(ROOT / "LICENSE", tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "remote", "add", "origin", remote], cwd=tmp_path, check=True)
    subprocess.run(["node", EXPORT / "web/links.mjs"], cwd=web, check=True)
    html = (web / "dist/index.html").read_text(encoding="utf-8")
    hrefs = re.findall(r'<a [^>]*href="([^"]*)"', html)
    assert hrefs[-2:] == ["card.txt", "license.txt"] and "{origin}" not in html
    assert [href.split("#")[0] for href in hrefs[:-2]] == ([address] * 2 if address else [])


def test_the_notebooks_pad_is_the_same(dist):
    code = DrawingPad._esm
    for name in ("pad.js", "pieces.js"):
        assert (dist / name).read_text(encoding="utf-8") in code
    assert (dist / "pad.css").read_text(encoding="utf-8") in DrawingPad._css
    assert not re.search(r"^\s*import\b", code, re.MULTILINE)  # there is nothing beside it


def test_a_drawing_may_be_undone_while_it_is_drawn(pad):
    for key in ("u", "c", "Escape"):
        trace(pad, [(0.5, 0.2), (0.5, 0.5)], lift=False)
        answer_is(pad, 1)
        pad.keyboard.press(key)
        pad.mouse.move(*on_the_pad(pad, [(0.5, 0.8)])[0])
        pad.mouse.up()
        answer_is(pad, "")
    trace(pad, [(0.5, 0.5)])
    expect(pad.locator(".digit")).not_to_be_empty()  # a dot is ink


def test_by_keyboard_alone(pad):
    pad.locator("nav button").last.focus()
    pad.keyboard.press("Tab")
    pad.wait_for_selector(".pad:focus .cursor, .cursor:not([hidden])")
    for key, times in (("ArrowUp", 16), ("Space", 1), ("ArrowDown", 32), ("Space", 1)):
        for _ in range(times):
            pad.keyboard.press(key)
    answer_is(pad, 1)
    pad.keyboard.press("u")
    answer_is(pad, "")


def test_the_focus_ring_is_for_the_keyboard(browser, dist):
    with served(dist) as url, opened(browser, url) as page:
        canvas, cursor = page.locator(".pad"), page.locator(".cursor")
        draw(page, 1)
        expect(canvas).to_be_focused()  # so that the pad's keys act
        expect(canvas).to_have_css("outline-style", "none")
        expect(cursor).to_be_hidden()
        page.keyboard.press("ArrowUp")
        expect(cursor).to_be_visible()
        expect(canvas).to_have_css("outline-style", "solid")
        trace(page, [(0.5, 0.5)])
        expect(cursor).to_be_hidden()
        expect(canvas).to_have_css("outline-style", "none")


def test_chinese(pad):
    draw(pad, 5)
    pad.get_by_role("button", name="中文").click()
    answer_is(pad, 5)
    assert pad.locator(".answer").text_content().startswith("这是 5，把握")
    assert pad.title() == "LeNet 手写数字识别"
    assert pad.locator("html").get_attribute("lang") == "zh-Hans"
    pad.get_by_role("button", name="English").click()
    words = pad.evaluate("async () => (await import('./words.js')).WORDS")
    assert set(words["en"]) == set(words["zh"])


def test_a_photo_and_a_file_that_is_none(pad, tmp_path, test_digits, expected):
    photo = tmp_path / "photo.png"
    Image.fromarray(255 - test_digits[0]).resize((500, 640)).convert("RGB").save(photo)
    (tmp_path / "notes.txt").write_text("no picture")
    pad.locator("input").set_input_files(photo)
    answer_is(pad, expected[0])
    pad.locator("input").set_input_files(tmp_path / "notes.txt")
    pad.wait_for_selector(".notice:not([hidden])")
    notice = pad.locator(".notice").text_content()
    assert notice == "notes.txt is not a picture that this browser can open."
    again = "reader => reader.open(new File(['no picture'], 'notes.txt'))"
    assert pad.locator("digit-reader").evaluate(again) is False
    Image.new("L", (60, 40), 255).save(photo)
    pad.locator("input").set_input_files(photo)
    answer_is(pad, "")
    blank = pad.evaluate("async () => (await import('./words.js')).WORDS.en.blank")
    assert pad.locator(".answer").text_content() == blank
    assert not pad.locator(".notice").is_visible()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_photo_may_be_dropped_or_pasted(pad, expected, pictures, way):
    def give(name, content):
        pad.evaluate(
            """([way, name, bytes]) => {
                 const data = new DataTransfer();
                 data.items.add(new File([new Uint8Array(bytes)], name));
                 document.dispatchEvent(way === "drop"
                   ? new DragEvent(way, { dataTransfer: data })
                   : new ClipboardEvent(way, { clipboardData: data }));
               }""",
            [way, name, list(content)],
        )

    give("digit.png", (pictures / "0000.png").read_bytes())
    answer_is(pad, expected[0])
    give("notes.txt", b"no picture")
    sentence = "notes.txt is not a picture that this browser can open."
    expect(pad.locator(".notice")).to_have_text(sentence)
    answer_is(pad, expected[0])  # what was there stays
    pad.get_by_role("button", name="中文").click()
    expect(pad.locator(".notice")).to_have_text("notes.txt 不是这个浏览器能打开的图片。")
    pad.get_by_role("button", name="English").click()


def test_a_thousand_digits_in_the_browser(pad, test_digits, expected, is_digit):
    labels, digits = zip(*recognize(pad, test_digits, "[r.label, r.isDigit]"))
    assert list(labels) == expected.tolist()
    assert list(digits) == is_digit.tolist()


def test_phone_finger_and_dark(browser, dist):
    options = {
        "viewport": {"width": 360, "height": 740},
        "has_touch": True,
        "is_mobile": True,
        "device_scale_factor": 2,
        "color_scheme": "dark",
        "locale": "zh-CN",
    }
    with served(dist) as url, opened(browser, url, **options) as page:
        assert page.locator("html").get_attribute("lang") == "zh-Hans"
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        draw_by_finger(page, 7)
        answer_is(page, 7)
        assert page.evaluate("scrollY") == 0  # drawing did not scroll
        bars = page.locator(".bars").bounding_box()
        assert bars["y"] + bars["height"] <= 740  # in sight while one draws
        shot(page, "web-phone.png")


@pytest.mark.parametrize("size", [(667, 375), (844, 390), (320, 568)])
def test_the_answer_is_in_sight_of_the_pad(browser, dist, size):
    with served(dist) as url:
        options = {"viewport": dict(zip(("width", "height"), size)), "is_mobile": True}
        with opened(browser, url, **options) as page:
            for part in (".pad", ".answer"):
                box = page.locator(part).bounding_box()
                assert box["y"] + box["height"] <= size[1], part


def test_offline_once_loaded(browser, dist):
    with browser.new_context() as context:
        page = context.new_page()
        with served(dist) as url:
            page.goto(url)
            page.wait_for_selector("body[data-ready]")
            page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
        page.reload()  # from no server at all
        page.wait_for_selector("body[data-ready]")
        draw(page, 0)
        answer_is(page, 0)


def test_the_large_file_is_sent_once(browser, dist):
    sent = []
    with served(dist, sent) as url, browser.new_context() as context:
        page = context.new_page()
        with_its_worker(page, url)
        page.goto(url)
        page.wait_for_selector("body[data-ready]")
        large = [status for path, status in sent if path.endswith(".wasm.gz")]
        assert large.count(200) == 1 and set(large) <= {200, 304}
        again = len(large)
        page.reload()
        page.wait_for_selector("body[data-ready]")
        assert len([path for path, _ in sent if path.endswith(".wasm.gz")]) == again  # not asked


KEPT = """async () => {
  const kept = {};
  for (const name of await caches.keys()) {
    const requests = await (await caches.open(name)).keys();
    kept[name] = requests.map((request) => request.url).sort();
  }
  return kept;
}"""
FETCHED = "async (url) => { try { return (await fetch(url)).status } catch { return null } }"


def copied(dist: Path, folder: Path) -> Path:
    """The built page, for a test to change; as new files, which a browser asks about again."""
    return shutil.copytree(dist, folder, copy_function=shutil.copy)


def with_its_worker(page, url):
    """Open the page at url, once for its worker to come, and once more to be under it."""
    for _ in range(2):
        page.goto(url)
        page.wait_for_selector("body[data-ready]")
        page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
    assert page.evaluate("navigator.serviceWorker.controller !== null")


def wait_until(page, promise, arg=None):
    """Wait for a promise of true; to wait_for_function the promise itself would be true."""
    for _ in range(300):
        if page.evaluate(promise, arg):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"In half a minute never true: {promise}")


def under(url: str, folder: Path) -> list[str]:
    """The addresses of the page's files, as they are asked for."""
    names = {path.name for path in folder.iterdir()} - {"index.html", "worker.js"}
    return sorted([url, *(url + name for name in names)])


def test_the_worker_keeps_the_pages_files_and_nothing_else(browser, dist, tmp_path):
    copied(dist, tmp_path / "page")
    (tmp_path / "page" / "notes").mkdir()
    (tmp_path / "page" / "notes" / "app.js").write_text("// of another project, under this one")
    (tmp_path / "secret.json").write_text("{}")
    foreign = ["notes/app.js", "../secret.json", "?x=1", "app.js?x=1", "digit.onnx?x"]
    with browser.new_context() as context:
        page = context.new_page()
        with served(tmp_path) as url:
            with_its_worker(page, f"{url}page/")
            assert [page.evaluate(FETCHED, each) for each in foreign] == [200] * len(foreign)
            page.goto(f"{url}page/?x=1")
            page.wait_for_selector("body[data-ready]")
            page.goto(f"{url}page/")
            page.wait_for_selector("body[data-ready]")
            (kept,) = page.evaluate(KEPT).values()
            assert kept == under(f"{url}page/", dist)
        assert [page.evaluate(FETCHED, each) for each in foreign] == [None] * len(foreign)
        page.reload()
        page.wait_for_selector("body[data-ready]")
        draw(page, 0)
        answer_is(page, 0)


def test_a_new_build_takes_the_place_of_the_old(browser, dist, tmp_path):
    folder = copied(dist, tmp_path / "dist")
    theirs = ["lenet", "lenet-keras", "another project"]
    with browser.new_context() as context:
        page = context.new_page()
        with served(folder) as url:
            with_its_worker(page, url)
            (old,) = page.evaluate(KEPT)
            page.evaluate("(names) => Promise.all(names.map((n) => caches.open(n)))", theirs)
            (folder / "icon.svg").rename(folder / "another.svg")
            shutil.copy(EXPORT / "web/worker.js", folder)
            subprocess.run(["node", EXPORT / "web/stamp.mjs"], cwd=tmp_path, check=True)
            page.reload()
            wait_until(page, "async (old) => !(await caches.has(old))", old)
            kept = page.evaluate(KEPT)
            assert [kept.pop(name) for name in theirs] == [[], [], []]
            assert list(kept.values()) == [under(url, folder)]


def test_the_worker_leaves_where_another_project_has_moved_in(browser, dist, tmp_path):
    folder = copied(dist, tmp_path / "dist")
    with browser.new_context() as context:
        page = context.new_page()
        with served(folder) as url:
            with_its_worker(page, url)
            page.evaluate("caches.open('theirs')")
            shutil.rmtree(folder)
            folder.mkdir()
            (folder / "index.html").write_text("<title>Theirs</title>")
            page.goto(url)
            assert page.title() == "Theirs"
            wait_until(page, "async () => (await caches.keys()).join() === 'theirs'")
            assert page.evaluate("navigator.serviceWorker.getRegistrations()") == []
        with pytest.raises(PlaywrightError, match="net::ERR_CONNECTION"):
            page.goto(url)  # not our page in the place of theirs


BROKEN = {
    "missing": ("digit.onnx", Path.unlink),
    "cut short": ("digit.onnx", lambda path: path.write_bytes(path.read_bytes()[:100_000])),
    "cut a little": ("digit.onnx", lambda path: path.write_bytes(path.read_bytes()[:-10])),
    "empty": ("digit.onnx", lambda path: path.write_bytes(b"")),
    "no engine": ("ort-*.wasm.gz", Path.unlink),
    "half an engine": ("ort-*.wasm.gz", lambda path: path.write_bytes(path.read_bytes()[:10_000])),
}
SENTENCES = {
    "missing": ("digit.onnx, is not beside this page", "没有神经网络文件 digit.onnx"),
    "cut short": ("digit.onnx, is damaged", "digit.onnx 已损坏"),
    "cut a little": ("digit.onnx, is damaged", "digit.onnx 已损坏"),
    "empty": ("digit.onnx, is damaged", "digit.onnx 已损坏"),
    "no engine": ("ONNX Runtime, which runs the network, does not start", "ONNX Runtime 无法启动"),
    "half an engine": (
        "ONNX Runtime, which runs the network, does not start",
        "ONNX Runtime 无法启动",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_bad_file_gets_a_sentence(browser, dist, tmp_path, how):
    folder = shutil.copytree(dist, tmp_path / "dist")
    name, spoil = BROKEN[how]
    spoil(next(folder.glob(name)))
    with served(folder) as url, opened(browser, url, complete=False) as page:
        notice = page.locator(".notice")
        expect(notice).to_contain_text(SENTENCES[how][0])
        page.get_by_role("button", name="中文").click()
        expect(notice).to_contain_text(SENTENCES[how][1])
        draw(page, 1)  # nothing breaks, and the sentence stays
        answer_is(page, "")
        expect(notice).to_be_visible()


def test_without_a_server_or_scripts_the_page_says_what_it_needs(browser, dist):
    with browser.new_context() as context:
        page = context.new_page()
        page.goto((dist / "index.html").as_uri())
        expect(page.locator("#unstarted")).to_be_visible()
        expect(page.locator("#unstarted")).to_contain_text("make web")
