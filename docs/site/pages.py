"""The site, in two languages: the reader of digits, every lesson with its results, the documents.

    python docs/site/pages.py   build/site: English at its root, Chinese in zh/

Pages are the repository's own documents, copied to build/site-source, where links between them
become links between pages. A link to any other file leads to the repository on GitHub if
GITHUB_REPOSITORY names it (owner/name, as GitHub Actions do), and else to a copy of the file.
`make site` does what must come before: the page in export/web/dist, MathJax in node_modules.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
from sphinx.cmd.build import build_main

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SOURCE, SITE = ROOT / "build/site-source", ROOT / "build/site"
REPOSITORY = os.environ.get("GITHUB_REPOSITORY", "")

DOCUMENTS = {
    "en": "notebooks/*.ipynb notebooks/*.md export/*.md export/*/README.md docs/*.md "
    "docs/site/api.md benchmarks/README.md benchmarks/results/*.md results/*/README.md "
    "CONTRIBUTING.md SECURITY.md",
    "zh": "notebooks/zh/*.ipynb notebooks/zh/*.md docs/zh/*.md",
}
PAGES = {
    language: ["index.md"]
    + [p.relative_to(ROOT).as_posix() for each in patterns.split() for p in sorted(ROOT.glob(each))]
    for language, patterns in DOCUMENTS.items()
}
FRONT = {"en": "README.md", "zh": "README.zh.md"}
OTHER = {"en": "zh", "zh": "en"}

LINK = re.compile(r"\]\(<?(?!\w+:)([^)#>\s]*)(#[^)>\s]*)?>?\)")


def address(page: str, language: str) -> str:
    """A page's place on the site."""
    return ("zh/" if language == "zh" else "") + Path(page).with_suffix(".html").as_posix()


def twin(page: str, language: str) -> str:
    """The same page in the other language, or that language's first."""
    path = Path(page)
    folder = path.parent.parent if language == "zh" else path.parent / "zh"
    name = (folder / path.name).as_posix()
    return name if name in PAGES[OTHER[language]] else "index.md"


def between(page: str, language: str, other: str) -> str:
    """From a page of a language to a page of the other, as a browser follows it."""
    start = Path(address(page, language)).parent
    return os.path.relpath(address(other, OTHER[language]), start)


class Links:
    """Turns the links of one document of the repository into links of its page."""

    def __init__(self, page: str, language: str) -> None:
        self.page, self.language = page, language
        self.folder = Path(FRONT[language] if page == "index.md" else page).parent

    def turned(self, text: str) -> str:
        """Markdown with every relative link turned."""
        return LINK.sub(lambda match: self._link(match[1], match[2] or ""), text)

    def _link(self, target: str, anchor: str) -> str:
        path = os.path.normpath(self.folder / target) if target else self.page
        if f"{path}/README.md" in PAGES["en"]:  # a folder, and what it says of itself
            path = f"{path}/README.md"
        for language, front in FRONT.items():
            if path == front:
                path = "index.md"
                if language != self.language:
                    return f"](to:{between(self.page, self.language, path)})"
        if cell := re.fullmatch("#cell-id=(.+)", anchor):
            return f"](#{label(path, cell[1])})"
        if path in PAGES[self.language]:
            return f"]({os.path.relpath(path, Path(self.page).parent)}{anchor})"
        if path in PAGES[OTHER[self.language]]:
            return f"](to:{between(self.page, self.language, path)}{anchor})"
        return self._file(path)

    def _file(self, path: str) -> str:
        picture = path.endswith(".png")
        if REPOSITORY and not picture:
            return f"](https://github.com/{REPOSITORY}/blob/main/{path})"
        if (ROOT / path).is_dir():
            return self._link(os.path.relpath("README.md", self.folder), "#what-is-where")
        if not (ROOT / path).exists():
            sys.exit(f"{self.page} links to {path}, which is not there.")
        copy = SOURCE / self.language / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, copy)
        return f"]({os.path.relpath(path, Path(self.page).parent)})"


def label(page: str, cell: str) -> str:
    """The name of a cell on all of the site."""
    return f"{Path(page).stem[:2]}-{cell}"


def lesson(page: str, language: str) -> str:
    """A lesson as its page's source: links turned, cells named, folded code folded."""
    notebook = nbformat.read(ROOT / page, as_version=4)
    links = Links(page, language)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = f"({label(page, cell.id)})=\n{links.turned(cell.source)}"
        elif "jupyter" in cell.metadata:
            cell.metadata = {"tags": ["hide-input"]}
    return nbformat.writes(notebook)


def front(language: str) -> str:
    """The first page: the reader to draw on, the README, and what the side bar lists."""
    readme = (ROOT / FRONT[language]).read_text(encoding="utf-8")
    title, _, _other_language, text = readme.split("\n", 3)
    page = (HERE / f"index.{language}.md").read_text(encoding="utf-8")
    text = Links("index.md", language).turned(text)
    return f"{title}\n\n{page.replace('<!-- README -->', text)}"


def assemble(language: str) -> None:
    """Put the source of every page of a language where Sphinx will read it."""
    for page in PAGES[language]:
        if page == "index.md":
            text = front(language)
        elif page.endswith(".ipynb"):
            text = lesson(page, language)
        else:
            text = Links(page, language).turned((ROOT / page).read_text(encoding="utf-8"))
            if not text.startswith(("# ", "---")):  # a table as its program printed it
                text = f"# {Path(page).stem}\n\n{text}"
        path = SOURCE / language / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def build() -> int:
    """Both languages, then the page that reads digits and what draws formulas beside them."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.rmtree(SITE, ignore_errors=True)
    for language, place in (("en", SITE), ("zh", SITE / "zh")):
        assemble(language)
        source = str(SOURCE / language)
        options = ["-q", "-W", "--keep-going", "-c", str(HERE), "-t", language]
        doctrees = ["-d", str(SOURCE / f"{language}-read")]
        if failed := build_main([*options, *doctrees, source, str(place)]):
            return failed
        for left in ("_sources", "jupyter_execute"):
            shutil.rmtree(place / left, ignore_errors=True)
    shutil.copytree(ROOT / "export/web/dist", SITE / "draw")
    shutil.copy(HERE / "node_modules/mathjax/es5/tex-svg.js", SITE)
    return 0


if __name__ == "__main__":
    sys.exit(build())
