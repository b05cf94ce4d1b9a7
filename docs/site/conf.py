"""How Sphinx makes pages of what pages.py laid out; the tag `zh` or `en` says which language."""

import re
import sys
from pathlib import Path

from sphinx.search.en import SearchEnglish

sys.path.insert(0, str(Path(__file__).parent))
import pages

from lenet_keras import quiet_tensorflow

quiet_tensorflow()  # the docstrings are imported

here = "zh" if tags.has("zh") else "en"  # noqa: F821

project = "lenet-keras"
author = "the lenet-keras authors"
copyright = author
language = {"en": "en", "zh": "zh_CN"}[here]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nb_execution_mode = "off"  # the stored outputs: `make test` says that they are true
nb_merge_streams = True
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
myst_url_schemes = {
    "http": None,
    "https": None,
    "mailto": None,
    "to": {"url": "{{path}}#{{fragment}}"},
}
suppress_warnings = ["myst.header", "misc.highlighting_failure"]  # … in quoted programs
napoleon_use_ivar = True
autodoc_typehints = "description"
autodoc_member_order = "bysource"

html_theme = "sphinx_book_theme"
html_title = "lenet-keras"
html_static_path = ["static"]
html_favicon = "../../export/web/icon.svg"
html_css_files = ["site.css"]
templates_path = ["templates"]
html_copy_source = False
html_show_sourcelink = False
mathjax_path = ("../" if here == "zh" else "") + "../tex-svg.js"
html_theme_options = {
    "show_toc_level": 2,
    "navbar_persistent": [],  # the side bar has the search
    "article_header_end": ["language.html", "article-header-buttons.html"],
    "use_download_button": False,
}
if pages.REPOSITORY:
    html_theme_options |= {
        "repository_url": f"https://github.com/{pages.REPOSITORY}",
        "repository_branch": "colab",
        "launch_buttons": {"colab_url": "https://colab.research.google.com"},
        "use_repository_button": True,
    }


class Chinese(SearchEnglish):
    """Searches Chinese without a dictionary: by every two characters that stand together."""

    lang = "zh"
    js_splitter_code = """
function splitQuery(query) {
  return query.match(/[\\u4e00-\\u9fff]+|[^\\W_]+/g)?.flatMap((run) =>
    /[\\u4e00-\\u9fff]/.test(run) && run.length > 2
      ? Array.from(run.slice(1), (_, i) => run.slice(i, i + 2)) : [run]) ?? [];
}
"""

    def split(self, input: str) -> list[str]:
        runs = re.findall("[\u4e00-\u9fff]+|[A-Za-z0-9]+", input)
        return [part for run in runs for part in (pairs(run) if run[0] > "z" else [run])]

    def stem(self, word: str) -> str:
        return word if word[0] > "z" else super().stem(word)


def pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


def other_language(app, pagename, templatename, context, doctree):
    known = {str(Path(page).with_suffix("")): page for page in pages.PAGES[here]}
    page = known.get(pagename, "index.md")
    context["zh"] = here == "zh"
    start = page if page != "index.md" else f"{pagename}.md"
    context["other_language"] = pages.between(start, here, pages.twin(page, here))


def setup(app):
    app.add_search_language(Chinese)
    app.connect("html-page-context", other_language)
