"""The apps under export/, run as their READMEs say, against Python's answers."""

import contextlib
import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
EXPORT = ROOT / "export"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
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
def pictures(test_digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for i, digit in enumerate(test_digits):
        Image.fromarray(digit).save(folder / f"{i:04}.png")
    return folder


@pytest.fixture
def odd_pictures(tmp_path):
    """A blank page, a broken file; what is on them is on transparent paper or a JPEG."""
    Image.new("L", (60, 40), 255).save(tmp_path / "blank.png")
    (tmp_path / "broken.png").write_text("no picture")
    return tmp_path


def npm(app: str, *command: str) -> None:
    if not shutil.which("npm"):
        pytest.skip("needs Node and npm")
    done = subprocess.run(
        ["npm", *command, "--no-audit", "--no-fund"],
        cwd=EXPORT / app,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and re.search("ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT", done.stderr):
        pytest.skip("needs the npm registry")
    assert done.returncode == 0, done.stderr


@functools.cache
def installed(app: str) -> None:
    npm(app, "ci")


def command_of(app: str) -> list[str]:
    if app == "python":
        return [sys.executable, str(EXPORT / "python/classify.py")]
    installed("node")
    return ["node", str(EXPORT / "node/classify.mjs")]


@pytest.mark.parametrize("app", ["python", "node"])
def test_a_thousand_digits(app, pictures, expected):
    files = sorted(map(str, pictures.iterdir()))
    done = subprocess.run([*command_of(app), *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == files
    assert [int(row[1].split()[0]) for row in rows] == expected.tolist()


@pytest.mark.parametrize("app", ["python", "node"])
def test_other_pictures(app, odd_pictures, pictures, expected):
    digit = Image.open(pictures / "0000.png")
    ink = Image.merge("LA", (Image.new("L", digit.size, 20), digit))
    ink.save(odd_pictures / "clear.png")  # dark ink on nothing
    digit.resize((280, 280)).convert("RGB").save(odd_pictures / "photo.jpg")
    names = ["blank.png", "broken.png", "clear.png", "nowhere.png", "photo.jpg"]
    files = [str(odd_pictures / name) for name in names]
    done = subprocess.run([*command_of(app), *files], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    rows = dict(line.split("\t") for line in done.stdout.splitlines())
    assert rows[files[0]] == "blank"
    assert rows[files[2]][0] == rows[files[4]][0] == str(expected[0])
    complaints = done.stderr.splitlines()
    assert len(complaints) == 2, done.stderr
    assert complaints[0].startswith(f"{files[1]}: ") and "picture" in complaints[0]
    assert complaints[1].lower().startswith(f"{files[3]}: no such file".lower())


@pytest.mark.parametrize("app", ["node", "web"])
def test_lock_files_name_no_host(app):
    lock = (EXPORT / app / "package-lock.json").read_text()
    assert '"resolved"' not in lock and '"integrity"' in lock


# --- the page ---

# How a person draws them: strokes of points from 0 to 1.
STROKES = {
    0: [[(0.5, 0.15), (0.32, 0.25), (0.27, 0.5), (0.33, 0.76), (0.5, 0.86), (0.67, 0.76),
         (0.73, 0.5), (0.68, 0.25), (0.5, 0.15)]],
    1: [[(0.38, 0.3), (0.52, 0.15), (0.52, 0.85)]],
    2: [[(0.3, 0.32), (0.38, 0.18), (0.55, 0.15), (0.68, 0.27), (0.64, 0.44), (0.45, 0.65),
         (0.28, 0.84), (0.5, 0.83), (0.74, 0.84)]],
    3: [[(0.3, 0.22), (0.48, 0.14), (0.66, 0.22), (0.66, 0.38), (0.47, 0.48), (0.66, 0.57),
         (0.7, 0.72), (0.52, 0.86), (0.3, 0.8)]],
    4: [[(0.42, 0.15), (0.28, 0.55), (0.72, 0.55)], [(0.62, 0.3), (0.6, 0.88)]],
    5: [[(0.68, 0.16), (0.36, 0.16), (0.33, 0.46), (0.52, 0.42), (0.68, 0.54), (0.67, 0.73),
         (0.5, 0.86), (0.3, 0.8)]],
    6: [[(0.62, 0.14), (0.42, 0.32), (0.31, 0.58), (0.36, 0.8), (0.54, 0.86), (0.68, 0.73),
         (0.63, 0.56), (0.46, 0.53), (0.33, 0.66)]],
    7: [[(0.27, 0.18), (0.72, 0.17), (0.57, 0.48), (0.45, 0.86)]],
    8: [[(0.64, 0.24), (0.5, 0.14), (0.35, 0.24), (0.4, 0.4), (0.6, 0.56), (0.66, 0.74),
         (0.5, 0.87), (0.34, 0.74), (0.42, 0.55), (0.6, 0.4), (0.64, 0.24)]],
    9: [[(0.66, 0.3), (0.52, 0.16), (0.36, 0.26), (0.38, 0.45), (0.54, 0.48), (0.66, 0.32),
         (0.66, 0.55), (0.58, 0.86)]],
}  # fmt: skip


@contextlib.contextmanager
def served(folder: Path):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def dist():
    installed("web")
    npm("web", "run", "build")
    return EXPORT / "web/dist"


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("needs chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser, url, **options):
    """The page at url, ready; afterwards: it has called nobody else and thrown nothing."""
    context = browser.new_context(**{"viewport": {"width": 1100, "height": 900}, **options})
    page = context.new_page()
    hosts, errors = set(), []
    page.on("request", lambda request: hosts.add("/".join(request.url.split("/")[:3]) + "/"))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    page.wait_for_selector("body[data-ready]")
    yield page
    assert {host for host in hosts if host.startswith("http")} == {url} and not errors
    context.close()


def draw(page, digit):
    box = page.locator("#pad").bounding_box()
    for stroke in STROKES[digit]:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=4)
        page.mouse.up()


def answer_is(page, digit):
    page.wait_for_function(
        "d => document.getElementById('digit').textContent === d", arg=str(digit)
    )


@pytest.fixture(scope="module")
def page(browser, dist):
    with served(dist) as url, opened(browser, url, locale="en-GB") as page:
        yield page


@pytest.fixture
def pad(page):
    page.keyboard.press("c")
    answer_is(page, "")
    return page


def shot(page, name):
    """A screenshot for docs/, where LENET_KERAS_SCREENSHOTS names a folder."""
    if folder := os.environ.get("LENET_KERAS_SCREENSHOTS"):
        page.screenshot(path=Path(folder, name), full_page=True)


@pytest.mark.parametrize("digit", range(10))
def test_every_digit_is_read_while_it_is_drawn(pad, digit):
    draw(pad, digit)
    answer_is(pad, digit)
    said = re.fullmatch(r"It is a (\d), (\d+\.\d) % sure\.", pad.locator("#answer").text_content())
    assert int(said[1]) == digit
    best = pad.locator("#bars li.best")
    assert best.locator("span").all_text_contents() == [str(digit), f"{said[2]} %"]
    bars = pad.locator("#bars li span:last-child").all_text_contents()
    assert sum(float(bar.split()[0]) for bar in bars) == pytest.approx(100, abs=0.6)
    if digit == 3:
        shot(pad, "web.png")


def test_what_the_network_saw_and_both_layers_light_up(pad):
    def colours(canvas):
        return pad.evaluate(
            "id => { const c = document.getElementById(id);"
            " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
            " return [c.width, c.height, new Set(new Uint32Array(d.buffer)).size] }",
            canvas,
        )

    assert colours("saw") == [28, 28, 1]
    draw(pad, 2)
    answer_is(pad, 2)
    assert colours("saw")[2] > 20
    assert colours("conv1")[:2] == [129, 25] and colours("conv1")[2] > 200
    assert colours("conv2")[:2] == [124, 9] and colours("conv2")[2] > 100


def test_undo_and_clear(pad):
    draw(pad, 7)
    answer_is(pad, 7)
    draw(pad, 4)
    pad.keyboard.press("Control+z")
    pad.get_by_role("button", name="Undo").click()
    answer_is(pad, 7)
    pad.get_by_role("button", name="Clear").click()
    answer_is(pad, "")
    assert pad.locator("#answer").text_content() == "Draw a digit"


def test_by_keyboard_alone(pad):
    pad.locator("#pad").focus()
    for key, times in (("ArrowUp", 16), ("Space", 1), ("ArrowDown", 32), ("Space", 1)):
        for _ in range(times):
            pad.keyboard.press(key)
    answer_is(pad, 1)
    pad.keyboard.press("u")
    answer_is(pad, "")


def test_chinese(pad):
    draw(pad, 5)
    pad.get_by_role("button", name="中文").click()
    answer_is(pad, 5)
    assert pad.locator("#answer").text_content().startswith("这是 5，把握 ")
    assert pad.title() == "LeNet 认手写数字"
    assert pad.locator("html").get_attribute("lang") == "zh-Hans"
    pad.get_by_role("button", name="English").click()
    words = pad.evaluate("async () => (await import('./words.js')).WORDS")
    assert set(words["en"]) == set(words["zh"])


def test_a_photo_and_a_file_that_is_none(pad, tmp_path, test_digits, expected):
    photo = tmp_path / "photo.png"
    Image.fromarray(255 - test_digits[0]).resize((500, 640)).convert("RGB").save(photo)
    (tmp_path / "notes.txt").write_text("no picture")
    pad.locator("#photo").set_input_files(photo)
    answer_is(pad, expected[0])
    pad.locator("#photo").set_input_files(tmp_path / "notes.txt")
    pad.wait_for_selector("#notice:not([hidden])")
    notice = pad.locator("#notice").text_content()
    assert notice == "notes.txt is not a picture that this browser can open."


def test_a_photo_may_be_dropped(pad, test_digits, expected, pictures):
    pad.evaluate(
        """async (bytes) => {
             const transfer = new DataTransfer();
             transfer.items.add(new File([new Uint8Array(bytes)], "digit.png"));
             const drop = new DragEvent("drop", { dataTransfer: transfer, cancelable: true });
             document.dispatchEvent(drop);
           }""",
        list((pictures / "0000.png").read_bytes()),
    )
    answer_is(pad, expected[0])


def test_a_thousand_digits_in_the_browser(pad, test_digits, expected):
    labels = pad.evaluate(
        """async ([text, n]) => {
             const { load, recognize } = await import("./lenet.js");
             const session = await load();
             const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
             const labels = [];
             for (let i = 0; i < n; i++) {
               const picture = new ImageData(28, 28);
               for (let j = 0; j < 784; j++) {
                 picture.data.fill(bytes[784 * i + j], 4 * j, 4 * j + 3);
               }
               labels.push((await recognize(session, picture)).label);
             }
             return labels;
           }""",
        [base64_of(test_digits), len(test_digits)],
    )
    assert labels == expected.tolist()


def base64_of(array):
    import base64

    return base64.b64encode(array.tobytes()).decode()


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
        box = page.locator("#pad").bounding_box()
        finger = page.context.new_cdp_session(page)
        points = [
            {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
            for x, y in STROKES[7][0]
        ]
        for kind, point in [("touchStart", points[0])] + [("touchMove", p) for p in points[1:]]:
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        answer_is(page, 7)
        assert page.evaluate("scrollY") == 0  # drawing did not scroll
        shot(page, "web-phone.png")


def test_offline_once_loaded(browser, dist):
    with served(dist) as url:
        context = browser.new_context()
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector("body[data-ready]")
        page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
        context.set_offline(True)
        page.reload()
        page.wait_for_selector("body[data-ready]")
        draw(page, 0)
        answer_is(page, 0)
        context.close()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.unlink(), "digit.onnx, is not beside this page"),
        (lambda path: path.write_bytes(path.read_bytes()[:100_000]), "digit.onnx, is damaged"),
        (lambda path: path.write_bytes(b""), "digit.onnx, is damaged"),
    ],
)
def test_a_bad_model_file_gets_a_sentence(browser, dist, tmp_path, spoil, sentence):
    folder = shutil.copytree(dist, tmp_path / "dist")
    spoil(folder / "digit.onnx")
    with served(folder) as url, opened(browser, url, locale="en-GB") as page:
        assert sentence in page.locator("#notice").text_content()
        draw(page, 1)  # nothing breaks
        assert page.locator("#digit").text_content() == ""
