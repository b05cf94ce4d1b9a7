"""The site, built as `make site` builds it in a fresh clone, and opened in a browser."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from pen import trace
from playwright.sync_api import expect
from web import npm, served, shot

ROOT = Path(__file__).parent.parent
LESSONS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


def copy_of_the_repository(folder: Path) -> Path:
    """What git would clone, this working tree's changes in it."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    if not (ROOT / ".git").exists():
        pytest.skip("needs the git repository")
    return copy_of_the_repository(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def site(clone):
    npm(clone / "export/web", "ci")
    npm(clone / "export/web", "run", "build")
    npm(clone / "docs/site", "ci")
    done = subprocess.run(
        [sys.executable, "docs/site/pages.py"],
        cwd=clone,
        capture_output=True,
        text=True,
        env={**os.environ, "GITHUB_REPOSITORY": "", "PYTHONPATH": str(clone)},
    )
    assert done.returncode == 0, done.stderr  # Sphinx takes its warnings for errors
    return clone / "build/site"


class Page(HTMLParser):
    """What a page links to, and what in it can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append(value)
            if name in ("id", "name") and value:
                self.ids.add(value)


def test_every_link_inside_the_site_leads_somewhere(site):
    pages = {
        path: Page(path.read_text(encoding="utf-8"))
        for path in site.rglob("*.html")
        if not {"draw", "_static"} & set(path.relative_to(site).parts)  # not ours to link
    }
    assert len(pages) > 2 * len(LESSONS)
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            known = anchor in ("", "top") or target not in pages or anchor in pages[target].ids
            if not target.exists() or not known:
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken


def test_a_lesson_leads_to_itself_in_the_other_language(site):
    for name in LESSONS:
        english = Page((site / f"notebooks/{name}.html").read_text(encoding="utf-8"))
        chinese = Page((site / f"zh/notebooks/zh/{name}.html").read_text(encoding="utf-8"))
        there, back = f"../zh/notebooks/zh/{name}.html", f"../../../notebooks/{name}.html"
        assert [link.rstrip("#") for link in english.links].count(there) == 2  # above, and in it
        assert [link.rstrip("#") for link in chinese.links].count(back) == 2


def test_nothing_comes_from_another_server(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        for tag in re.findall(r"<(?:script|img|link|iframe)\b[^>]*>", text):
            address = re.search(r'(?:src|href)="(\w+:)?//', tag)
            assert not address or 'rel="canonical"' in tag, f"{path.relative_to(site)}: {tag}"


@pytest.mark.parametrize(
    ("root", "lessons", "language", "word"),
    [("", "notebooks", "en", "patience"), ("zh/", "zh/notebooks/zh", "zh-CN", "特征图")],
)
def test_a_browser_opens_both_languages(site, browser, root, lessons, language, word):
    with served(site) as url, browser.new_page(locale="en-GB") as tab:
        missing, errors = [], []
        tab.on("response", lambda answer: answer.status >= 400 and missing.append(answer.url))
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(f"{url}{root}index.html")
        assert tab.locator("html").get_attribute("lang") == language
        expect(tab.locator("digit-reader canvas").first).to_be_visible()
        tab.evaluate("() => document.querySelector('digit-reader').ready")
        trace(tab, [(0.5, 0.15), (0.5, 0.85)])
        read = "() => document.querySelector('digit-reader').answer?.label === 1"
        tab.wait_for_function(read, timeout=120_000)
        shot(tab, f"{root}site.png", full_page=False)

        tab.goto(f"{url}{root}search.html?q={word}")
        expect(tab.locator("#search-results li").first).to_be_visible()
        tab.goto(f"{url}{lessons}/12_by_hand.html")
        expect(tab.locator("mjx-container svg").first).to_be_visible()
        figure = tab.locator(".cell_output figure img").first
        assert figure.evaluate("image => image.naturalWidth") > 100
        assert missing == [] and errors == []


def test_a_phone_scrolls_down_and_not_sideways(site, browser):
    with served(site) as url, browser.new_page(viewport={"width": 390, "height": 844}) as tab:
        for page in ("index", "notebooks/07_training", "zh/notebooks/zh/02_convolution"):
            tab.goto(f"{url}{page}.html")
            wide = tab.evaluate("() => document.documentElement.scrollWidth")
            assert wide <= 390, page
        shot(tab, "zh/site-phone.png", full_page=False)


def test_a_repository_that_has_a_name_is_linked_and_its_lessons_open_in_colab(clone):
    program = "import sys; sys.path.insert(0, 'docs/site'); import pages; pages.assemble('en')"
    environment = {**os.environ, "GITHUB_REPOSITORY": "somebody/lenet"}
    subprocess.run([sys.executable, "-c", program], cwd=clone, env=environment, check=True)
    front = (clone / "build/site-source/en/index.md").read_text(encoding="utf-8")
    assert "](https://github.com/somebody/lenet/blob/main/results/ties.py)" in front
    colab = [sys.executable, "docs/site/colab.py", "build/colab"]
    subprocess.run(colab, cwd=clone, env=environment, check=True)
    for name in LESSONS:
        for folder in ("notebooks", "notebooks/zh"):
            first, *others = nbformat.read(clone / f"build/colab/{folder}/{name}.ipynb", 4).cells
            assert "git clone" in first.source and "somebody/lenet" in first.source
            assert others == nbformat.read(clone / f"{folder}/{name}.ipynb", 4).cells
