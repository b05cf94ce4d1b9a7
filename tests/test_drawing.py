"""The drawing pad: its Python side, and in a real JupyterLab, in a real browser."""

import base64
import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import numpy as np
import psutil
import pytest
import traitlets
from pen import CONTRAST, answer_is, draw, draw_by_finger, drawn, ink, it_says, on_the_pad, trace
from PIL import Image
from playwright.sync_api import expect
from web import served, shot

from lenet_keras import Classifier, DrawingPad

ROOT = Path(__file__).parent.parent
LESSON = "10_your_digits.ipynb"
SLOW = 120_000  # milliseconds that a busy machine with two cores may take


# --- Python ---


def one(side=280):
    """A drawn 1: a dark bar on white paper."""
    picture = np.full((side, side), 255, np.uint8)
    picture[side // 6 : -side // 6, side // 2 - side // 20 : side // 2 + side // 20] = 0
    return picture


def test_a_new_pad_is_blank_and_says_nothing():
    pad = DrawingPad()
    assert pad.picture.shape == (280, 280) and (pad.picture == 255).all()
    assert pad.answer.label is None and not pad.answer.has_ink


def test_a_picture_gets_its_answer_before_anybody_hears_of_it():
    pad, heard = DrawingPad(), []
    pad.observe(lambda _: heard.append(pad.answer.label), "picture")
    pad.picture = one()
    assert pad.answer.label == 1 and heard == [1]
    assert np.array_equal(pad.answer.normalized, Classifier()(one()).normalized)
    pad.picture = np.full((40, 60), 255, np.uint8)
    assert pad.answer.label is None


def test_the_browsers_message_and_what_it_gets_back():
    pad = DrawingPad()
    picture = one(100)[:, 20:]
    grey = memoryview(picture.tobytes())
    pad.set_state({"picture": {"height": 100, "width": 80, "grey": grey}})
    assert np.array_equal(pad.picture, picture)
    state = pad.get_state(["answer", "picture"])
    assert state["picture"] == {"height": 100, "width": 80, "grey": picture.tobytes()}
    assert state["answer"]["label"] == 1 and state["answer"]["isDigit"] is True
    assert sum(state["answer"]["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert state["answer"]["normalized"] == pad.answer.normalized.tobytes()


@pytest.mark.parametrize(
    "wrong",
    [one() / 255, one()[None], np.zeros((0, 5), np.uint8), np.zeros((5000, 5), np.uint8), [[0]]],
    ids=["floats", "several", "empty", "huge", "a list"],
)
def test_what_is_no_picture_is_refused_and_changes_nothing(wrong):
    pad = DrawingPad()
    with pytest.raises(traitlets.TraitError):
        pad.picture = wrong
    assert pad.picture.shape == (280, 280) and pad.answer.label is None


def test_another_classifier_and_no_keras():
    class Always:
        def __call__(self, picture):
            return Classifier()(one())

    assert DrawingPad(Always()).answer.label == 1
    code = "import sys, lenet_keras; lenet_keras.DrawingPad(); print('keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_where_nothing_runs_the_lesson_shows_a_sentence_or_a_picture():
    assert repr(DrawingPad()) in (ROOT / "notebooks" / LESSON).read_text()


def test_the_still_picture_is_of_what_is_drawn_and_read():
    def pixels(pad):
        data, _ = pad._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in data
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))))

    pad = DrawingPad()
    blank = pixels(pad)
    pad.picture = one()
    shown = pixels(pad)
    assert (shown[60:200, 150] < 20).all() and (blank[60:200, 150] > 250).all()
    accent = (shown == (0xD5, 0x5E, 0)).all(axis=2)
    rows = np.flatnonzero(accent.any(axis=1))
    assert 24 + 28 * 1 in rows and np.ptp(rows) < 28  # the bar of the 1, and no other
    assert not (blank == (0xD5, 0x5E, 0)).all(axis=2).any()
    pad.picture = drawn("A")
    letter = pixels(pad)
    assert (letter[40:280, 20:280] < 20).any()
    assert not (letter == (0xD5, 0x5E, 0)).all(axis=2).any()  # no bar is set off
    pad.picture = np.zeros((4096, 1), np.uint8)
    assert pixels(pad).shape == (300, 600, 3)


# --- JupyterLab ---


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def jupyter_lab(folder, home):
    """A JupyterLab of its own on `folder`; afterwards nothing of it runs."""
    port, token = free_port(), "drawing"
    news = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (home / "config" / "labconfig").mkdir(parents=True)
    (home / "config" / "labconfig" / "page_config.json").write_text(json.dumps(news))
    (home / "settings/@jupyterlab/apputils-extension").mkdir(parents=True)
    themes = home / "settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings"
    themes.write_text('{"adaptive-theme": true}')  # light or dark as the browser has it
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    command += [f"--ServerApp.root_dir={folder}"]
    url = f"http://127.0.0.1:{port}/"
    with open(home / "log", "w") as log:
        server = psutil.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    processes = [server]
    try:
        for _ in range(120):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}api?token={token}"):
                break
            assert server.poll() is None, (home / "log").read_text()
            time.sleep(1)
        else:
            raise AssertionError("JupyterLab did not start: " + (home / "log").read_text())
        yield url, token
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            processes += server.children(recursive=True)  # the kernels
            server.terminate()
        _, left = psutil.wait_procs(processes, timeout=60)
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=10)
    assert not left, f"still ran a minute after the end: {left}"


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    """JupyterLab on a copy of the lesson, with what the lesson looks for around it."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "notebooks").mkdir()
    notebook = nbformat.read(ROOT / "notebooks" / LESSON, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, folder / "notebooks" / LESSON)
    (folder / "results").mkdir()
    (folder / "export").symlink_to(ROOT / "export")
    with jupyter_lab(folder, tmp_path_factory.mktemp("jupyter")) as lab:
        yield lab


@contextlib.contextmanager
def lesson(browser, lab, **options):
    """The lesson in JupyterLab, every cell run; afterwards the pad's code has thrown nothing."""
    url, token = lab
    options = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options}
    with browser.new_context(**options) as context:
        context.set_default_timeout(SLOW)
        errors = []
        context.on("weberror", lambda error: errors.append(str(error.error)))
        page = context.new_page()
        page.goto(f"{url}lab/tree/notebooks/{LESSON}?token={token}&reset")
        page.wait_for_selector(".jp-NotebookPanel .jp-Notebook .jp-CodeCell")
        idle = page.get_by_text("Python 3 (ipykernel) | Idle")
        pad = page.locator(".lenet-pad").first
        running = page.locator(".jp-InputPrompt", has_text="[*]").or_(pad).first
        for _ in range(10):  # a kernel that has only just connected may miss the first call
            expect(idle).to_be_attached()
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            with contextlib.suppress(AssertionError):
                expect(running).to_be_attached(timeout=SLOW / 10)
                break
        # the last cell has run, and the pad shows the digit that the lesson has drawn
        last = page.locator(".jp-OutputArea-output", has_text="a blank page: None")
        expect(last).to_be_attached()
        expect(idle).to_be_attached()
        pad.scroll_into_view_if_needed()
        answer_is(pad, 5)
        yield page, pad
        assert errors == []


# two views of one pad, and in Python's place a model that only keeps what it is given
TWO_VIEWS = """<!doctype html><div id="a"></div><div id="b"></div>
<script type="module">
import widget from "./widget.js";
const state = { picture: null, answer: { label: null } };
const heard = [];
const model = {
  get: (key) => state[key],
  set(key, value) {
    state[key] = value;
    heard.filter(([event]) => event === `change:${key}`).forEach(([, call]) => call());
  },
  on: (...pair) => heard.push(pair),
  save_changes() {},
};
for (const view of ["a", "b"]) widget.render({ model, el: document.getElementById(view) });
</script>"""


def test_what_is_drawn_in_one_view_of_a_pad_is_shown_in_the_other(browser, tmp_path):
    (tmp_path / "index.html").write_text(TWO_VIEWS)
    (tmp_path / "widget.js").write_text(DrawingPad._esm, encoding="utf-8")
    room = {"width": 1280, "height": 2000}  # for both
    with served(tmp_path) as url, browser.new_context(viewport=room) as context:
        page = context.new_page()
        page.goto(url)
        first, second = (page.locator(f"#{view} .lenet-pad") for view in "ab")

        def shown():
            page.wait_for_timeout(300)  # some frames
            return tuple(ink(view.locator(".pad")) for view in (first, second))

        def line(x):
            trace(first, [(x, 0.2), (x, 0.8)])
            return shown()

        looks = [shown(), line(0.2), line(0.6)]
        assert [len(set(look)) for look in zip(*looks)] == [3, 3]  # each is new, in either view
        page.keyboard.press("u")
        assert shown() == looks[1]  # still two strokes in the first, and not the second's picture
        second.locator(".clear").click()
        assert not {*shown()} & {*looks[1], *looks[2]}
        page.keyboard.press("Control+z")
        assert shown()[1] == looks[1][1]


@pytest.fixture(scope="module")
def opened(browser, lab):
    with lesson(browser, lab) as opened:
        yield opened


@pytest.fixture
def clean(opened):
    _, pad = opened
    pad.locator(".clear").click()
    answer_is(pad, "")
    expect(pad.locator(".answer")).to_have_text("Draw a digit")
    return opened


def test_draw_with_the_mouse_and_read_the_answer(clean):
    page, pad = clean
    for digit in (3, 0, 7, 4):
        draw(pad, digit)
        answer_is(pad, digit)
        expect(pad.locator(".answer")).to_have_attribute("aria-busy", "false")
        it_says(pad, digit)
        greys = pad.locator(".saw").evaluate(
            "c => new Set(c.getContext('2d').getImageData(0, 0, 28, 28).data).size"
        )
        assert greys > 20  # what the network saw
        if digit == 3:
            shot(page, "lesson-10.png")
        pad.locator(".clear").click()
        answer_is(pad, "")


def test_what_is_not_like_any_digit_is_no_confident_one(clean):
    page, pad = clean
    draw(pad, "A")
    answer_is(pad, "?")
    said = pad.locator(".answer[aria-live=polite]")
    expect(said).to_have_attribute("aria-busy", "false")
    expect(said).to_contain_text(re.compile(r"Not like any digit\. .* \d, \d+\.\d\s% sure\."))
    assert pad.locator(".bars li.best").count() == 0
    shot(page, "lesson-10-letter.png")
    pad.locator(".clear").click()
    draw(pad, 6)
    answer_is(pad, 6)
    it_says(pad, 6)


def test_it_answers_before_the_pen_is_up(clean):
    page, pad = clean
    trace(pad, [(0.5, 0.2), (0.5, 0.8)], lift=False)
    answer_is(pad, 1)
    assert pad.locator(".answer").get_attribute("aria-busy") == "true"
    page.mouse.up()
    expect(pad.locator(".answer")).to_have_attribute("aria-busy", "false")


def test_undo_takes_back_a_stroke_and_clear_all(clean):
    page, pad = clean
    cells = page.locator(".jp-Cell").count()
    for way in (lambda: pad.locator(".undo").click(), lambda: page.keyboard.press("Control+z")):
        draw(pad, 7)
        answer_is(pad, 7)
        for _ in range(2):  # scribble over it
            draw(pad, 8)
        way()
        way()
        answer_is(pad, 7)
        way()
        answer_is(pad, "")
    for key in ("Escape", "Delete", "Backspace", "c"):
        draw(pad, 3)
        answer_is(pad, 3)
        page.keyboard.press(key)
        answer_is(pad, "")
    assert page.locator(".jp-Cell").count() == cells  # JupyterLab did not take the keys as its own


def test_undo_brings_back_what_clear_or_a_photo_took(clean, tmp_path):
    page, pad = clean
    Image.fromarray(one(200)).save(tmp_path / "photo.png")
    draw(pad, 4)
    answer_is(pad, 4)
    canvas = pad.locator(".pad")
    four = ink(canvas)
    clears = (lambda: pad.locator(".clear").click(), lambda: page.keyboard.press("Escape"))
    undoes = (lambda: pad.locator(".undo").click(), lambda: page.keyboard.press("Control+z"))
    for clear, undo in zip(clears, undoes):
        clear()
        answer_is(pad, "")
        undo()
        assert ink(canvas) == four
        answer_is(pad, 4)
        pad.locator("input").set_input_files(tmp_path / "photo.png")
        answer_is(pad, 1)
        undo()
        assert ink(canvas) == four
        answer_is(pad, 4)
    pad.locator("input").set_input_files(tmp_path / "photo.png")
    answer_is(pad, 1)
    photo = ink(canvas)
    trace(pad, [(0.3, 0.1), (0.7, 0.9)])
    answer_is(pad, 1)
    assert ink(canvas) != photo
    page.keyboard.press("Control+z")
    answer_is(pad, 1)
    assert ink(canvas) == photo  # all of the photo, that the box took away


PLACE = "cell => [...cell.parentElement.children].indexOf(cell)"


def test_jupyterlab_does_not_take_the_pads_keys_as_its_own(clean):
    """There, "d d" and "x" remove a cell, "a" and "b" insert one, and "m" turns it into text."""
    page, pad = clean
    cells = page.locator(".jp-Notebook .jp-Cell")
    own = page.locator(".jp-CodeCell", has=page.locator(".lenet-pad"))
    before, place = cells.count(), own.evaluate(PLACE)
    draw(pad, 4)
    answer_is(pad, 4)
    for part in (None, ".pad", ".undo", ".clear", "input"):  # None: where drawing leaves the focus
        if part:
            pad.locator(part).focus()
        page.keyboard.type("ddxabm")
        page.wait_for_timeout(500)  # for JupyterLab to do what it should not
        assert cells.count() == before, part
        assert own.count() == 1 and own.evaluate(PLACE) == place, part
        answer_is(pad, 4)


def saved(lab):
    """The lesson as it is on disk."""
    url, token = lab
    address = f"{url}api/contents/notebooks/{LESSON}?token={token}"
    with urllib.request.urlopen(address) as answer:
        return json.load(answer)


def test_jupyterlabs_shortcuts_work_from_the_pad(clean, lab):
    """Ctrl+S saves, Ctrl+Enter runs the cell; and what is saved holds a picture of the pad."""
    page, pad = clean
    draw(pad, 4)
    answer_is(pad, 4)
    before = saved(lab)["last_modified"]
    deadline = time.monotonic() + 120
    while saved(lab)["last_modified"] == before and time.monotonic() < deadline:
        page.keyboard.press("Control+s")  # one that comes while it still saves is dropped
        page.wait_for_timeout(2_000)
    assert saved(lab)["last_modified"] != before
    (cell,) = (cell for cell in saved(lab)["content"]["cells"] if cell["id"] == "draw-code")
    png = "".join(cell["outputs"][0]["data"]["image/png"])
    assert Image.open(io.BytesIO(base64.b64decode(png))).size == (600, 300)
    answer_is(pad, 4)
    page.keyboard.press("Control+Enter")  # a new pad
    answer_is(pad, "")


def test_running_the_cell_brings_all_of_the_pad_into_view(clean):
    page, _ = clean
    cell = page.locator(".jp-CodeCell", has=page.locator(".lenet-pad")).first
    cell.locator(".cm-content").click()
    page.locator(".jp-WindowedPanel-outer").first.evaluate("panel => (panel.scrollTop -= 300)")
    cell.locator(".cm-content").click()
    old = page.locator(".lenet-pad").first.element_handle()
    page.keyboard.press("Shift+Enter")
    deadline = time.monotonic() + 120
    while old.evaluate("pad => pad.isConnected") and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    pad = page.locator(".lenet-pad").first
    expect(pad).to_be_visible()
    page.wait_for_timeout(1500)  # for JupyterLab to scroll, and for the pad to come back
    panel = page.locator(".jp-WindowedPanel-outer").first.bounding_box()
    place = pad.bounding_box()
    assert place["y"] >= panel["y"] - 1
    assert place["y"] + place["height"] <= panel["y"] + panel["height"] + 1


def test_draw_with_the_keyboard(clean):
    page, pad = clean
    canvas = pad.locator(".pad")
    assert "Arrow keys" in canvas.get_attribute("aria-label")
    expect(pad.locator(".cursor")).to_be_hidden()
    pad.locator(".undo").focus()
    page.keyboard.press("Shift+Tab")
    expect(canvas).to_be_focused()
    expect(pad.locator(".cursor")).to_be_visible()

    def go(key, times):
        for _ in range(times):
            page.keyboard.press(key)

    active = page.locator(".jp-Cell.jp-mod-active").evaluate("c => c.textContent.slice(0, 40)")
    go("ArrowUp", 16)
    go("ArrowLeft", 12)
    page.keyboard.press(" ")  # down
    expect(pad.locator(".cursor.down")).to_be_visible()
    go("ArrowRight", 22)
    for _ in range(17):
        go("ArrowDown", 2)
        go("ArrowLeft", 1)
    page.keyboard.press(" ")  # up
    answer_is(pad, 7)
    assert pad.locator(".answer").get_attribute("aria-busy") == "false"
    go("ArrowLeft", 3)  # draws nothing
    answer_is(pad, 7)
    page.keyboard.press("Escape")
    answer_is(pad, "")
    expect(canvas).to_be_focused()  # and the next digit can be drawn
    assert active == page.locator(".jp-Cell.jp-mod-active").evaluate(
        "c => c.textContent.slice(0, 40)"
    )


def test_a_photo_or_a_sentence(clean, tmp_path):
    _, pad = clean
    Image.fromarray(np.pad(one(200), ((0, 90), (40, 0)), constant_values=255)).save(
        tmp_path / "photo.png"
    )
    (tmp_path / "notes.txt").write_text("no picture")
    pad.locator("input").set_input_files(tmp_path / "photo.png")
    answer_is(pad, 1)
    pad.locator("input").set_input_files(tmp_path / "notes.txt")
    sentence = "notes.txt is not a picture that this browser can open."
    expect(pad.locator(".answer")).to_have_text(sentence)
    answer_is(pad, 1)  # what was there stays
    Image.new("L", (60, 40), 200).save(tmp_path / "photo.png")
    pad.locator("input").set_input_files(tmp_path / "photo.png")
    answer_is(pad, "")
    expect(pad.locator(".answer")).to_contain_text("cannot tell the ink from the paper")
    Image.fromarray(np.concatenate([one(200), one(200)], axis=1)).save(tmp_path / "photo.png")
    pad.locator("input").set_input_files(tmp_path / "photo.png")
    answer_is(pad, "?")
    expect(pad.locator(".answer")).to_contain_text("Several digits?")
    trace(pad, [(0.05, 0.3), (0.45, 0.7)])
    answer_is(pad, 1)


def test_python_has_the_drawing_and_the_answer(clean):
    """The cell below the pad, run again, says what the pad shows."""
    page, pad = clean
    draw(pad, 2)
    answer_is(pad, 2)
    cell = page.locator(".jp-CodeCell", has_text="answer = pad.answer").first
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    expect(cell.locator(".jp-OutputArea-output")).to_contain_text("answer: 2")
    answer_is(pad, 2)


def test_touch_dark_chinese_and_a_second_look(browser, lab):
    options = {"has_touch": True, "locale": "zh-CN", "viewport": {"width": 900, "height": 1000}}
    with lesson(browser, lab, **options) as (page, pad):
        pad.locator(".clear").click()
        expect(pad.locator(".answer")).to_have_text("请写一个数字")
        before = on_the_pad(pad, [(0, 0)])
        draw_by_finger(pad, 7)
        answer_is(pad, 7)
        np.testing.assert_allclose(on_the_pad(pad, [(0, 0)]), before, atol=3)  # it did not scroll

        def colors():
            return pad.evaluate(
                """pad => {
                     const canvas = pad.querySelector(".pad");
                     const { width, height } = canvas;
                     const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
                     const inked = [...data].filter((_, i) => i % 4 === 0 && data[i + 3] === 255);
                     const text = getComputedStyle(pad.querySelector(".answer")).color;
                     return [Math.max(...inked), Number(text.match(/\\d+/)[0])];
                   }"""
            )

        assert max(colors()) < 100
        assert pad.locator(".pad").evaluate(CONTRAST) >= 3
        page.emulate_media(color_scheme="dark")
        page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
        deadline = time.monotonic() + 300
        while min(colors()) < 180 and time.monotonic() < deadline:
            page.wait_for_timeout(200)
        assert min(colors()) > 180  # light ink and letters on the dark page
        assert pad.locator(".pad").evaluate(CONTRAST) >= 3
        shot(page, "lesson-10-dark.png")
        answer_is(pad, 7)
