"""What the tests share. Which data there is, ../conftest.py has settled."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from lenet_keras.data import Mnist, load_mnist

hypothesis.settings.register_profile("lenet", deadline=None, derandomize=True)
hypothesis.settings.load_profile("lenet")
expect.set_options(timeout=120_000)  # a browser on a busy machine may be slow


@pytest.fixture(scope="session")
def mnist() -> Mnist:
    """MNIST itself; without it the test is skipped."""
    source = os.environ["LENET_KERAS_DATA"]
    if source == "digits":
        pytest.skip("needs MNIST: set LENET_KERAS_DATA to a folder or file that has it")
    return load_mnist(source)


@pytest.fixture(scope="session")
def seed() -> str:
    """The annotated file, where it is at hand; else the test is skipped."""
    root = Path(__file__).parent.parent
    near = (root / "shared", root.parent / "shared", Path(os.environ["LENET_KERAS_DATA"]).parent)
    files = [file for at in near for file in at.glob("seed/convolutional_mlp*zh.txt")]
    if not files:
        pytest.skip("the annotated file is not at hand (shared/seed, here or beside the data)")
    return files[0].read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def digits() -> Mnist:
    """The embedded digits, there on every machine."""
    return load_mnist("digits")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, without a window; where there is none, the test is skipped."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("needs chromium")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


# A page that does for a widget what JupyterLab does: a model, and a place to draw in.
WIDGET_PAGE = """<!doctype html><style>STYLE</style><div id="here"></div><script type="module">
import * as widget from "./widget.js";
const state = STATE, heard = {};
const model = {
  get: (name) => state[name],
  set(name, value) { state[name] = value; heard[`change:${name}`]?.(); },
  on: (event, call) => { heard[event] = call; },
  off() {},
  save_changes() { globalThis.saved = structuredClone(state); },
};
Object.assign(globalThis, { widget, model, state });
widget.default.render({ model, el: document.getElementById("here") });
</script>"""


@pytest.fixture
def widget_page(browser: Browser) -> Callable[..., AbstractContextManager[Page]]:
    """``with widget_page(widget, state) as page:`` alone on a page, which must raise no error.

    state: the widget's values by name, as JSON; options: of Playwright's new_page.
    """

    @contextlib.contextmanager
    def widget_page(widget: type, state: dict, **options: object) -> Iterator[Page]:
        page = WIDGET_PAGE.replace("STYLE", widget._css).replace("STATE", json.dumps(state))
        files = {"/": ("text/html", page), "/widget.js": ("text/javascript", widget._esm)}

        def answer(route: Route) -> None:
            kind, body = files["/" + route.request.url.split("/", 3)[3]]
            route.fulfill(content_type=f"{kind}; charset=utf-8", body=body)

        with browser.new_page(**{"locale": "en-GB", **options}) as page:
            errors = []
            page.route("**/*", answer)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda line: line.type == "error" and errors.append(line.text))
            page.goto("http://widget.test/")
            page.wait_for_function("document.getElementById('here').children.length")
            yield page
            assert errors == []

    return widget_page


@pytest.fixture(scope="session")
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """``with full_disk(n):`` no file gets longer than n bytes, as if the disk were full then."""
    resource = pytest.importorskip("resource")

    @contextlib.contextmanager
    def full_disk(n: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return full_disk


# From a process of its own: a child's peak begins with that of the process that started it.
WEIGH = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(peak // (1024 if sys.platform == "darwin" else 1))
sys.exit(code)
"""


@pytest.fixture(scope="session")
def run_and_weigh() -> Callable[[Sequence[str]], tuple[subprocess.CompletedProcess[str], int]]:
    """``run_and_weigh(command)``: the finished process, and the KiB of memory at its peak."""
    pytest.importorskip("resource")

    def run_and_weigh(command: Sequence[str]) -> tuple[subprocess.CompletedProcess[str], int]:
        done = subprocess.run(
            [sys.executable, "-c", WEIGH, *command], capture_output=True, text=True, check=False
        )
        *lines, peak = done.stdout.splitlines()
        done.stdout = "\n".join(lines)
        return done, int(peak)

    return run_and_weigh


@pytest.fixture(scope="session")
def on_jax() -> Callable[[str], Any]:
    """A script in a process of its own, Keras on JAX: its last line, JSON, as a value."""

    def on_jax(script: str) -> Any:
        pytest.importorskip("jax", reason="jax is not installed")
        env = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-c", script]
        root = Path(__file__).parent.parent
        done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return on_jax


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast ones first: what trains, starts processes or opens a browser comes last."""
    slow = (
        "test_onnx_export",
        "test_int8",
        "test_load",
        "test_hostile",
        "test_cli",
        "test_training",
        "test_checkpoint",
        "test_devices",
        "test_apps",
        "test_runtimes",
        "test_site",
        "test_drawing",
        "test_bulk",
        "test_sweep",
    )
    items.sort(key=lambda item: slow.index(item.path.stem) if item.path.stem in slow else -1)
