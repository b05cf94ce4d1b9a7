"""What tests of pages need: npm's packages, a server, a screenshot."""

import contextlib
import functools
import http.server
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

EXPORT = Path(__file__).parent.parent / "export"


def npm(folder: Path, *command: str) -> None:
    if not shutil.which("npm"):
        pytest.skip("needs Node and npm")
    done = subprocess.run(
        ["npm", *command, "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and re.search("ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT", done.stderr):
        pytest.skip("needs the npm registry")
    assert done.returncode == 0, done.stderr


@functools.cache
def installed(app: str) -> None:
    """An app of export/, ready to run."""
    npm(EXPORT / app, "ci")


@contextlib.contextmanager
def served(folder: Path, sent: list[tuple[str, int]] | None = None):
    """Serve the folder; its address. `sent` hears of each answer: the path, the status."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_request(self, code="-", size="-"):
            if sent is not None:
                sent.append((self.path, int(code)))

        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def shot(page, name, full_page=True):
    """A screenshot for docs/, where LENET_KERAS_SCREENSHOTS names a folder."""
    if folder := os.environ.get("LENET_KERAS_SCREENSHOTS"):
        page.wait_for_timeout(500)  # the bars glide
        page.screenshot(path=Path(folder, name), full_page=full_page)
