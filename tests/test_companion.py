"""The companion to the annotated file: every question answered, every quote to the letter.

The annotated file itself is not in this repository. Where it is at hand, it is asked.
"""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
PAGES = {
    "English": ROOT / "notebooks/13_companion.ipynb",
    "Chinese": ROOT / "notebooks/zh/13_companion.ipynb",
}
CHINESE = re.compile("[\u4e00-\u9fff]")
# By this a comment is known in which the annotator asks, guesses, or says what is of no use.
DOUBT = re.compile(
    "NOTICE|[?？]|不知道|看不懂|可能|应该|好像|似乎|大概|也许|或许|估计|肯定|待查|查询|相当于|没有"
)
EMPTY = re.compile("(含义|参数):")  # a field that he left open

each_page = pytest.mark.parametrize("language", PAGES)


def squeezed(text: str) -> str:
    """Without white space: how a line is wrapped is not what it says."""
    return "".join(text.split())


def comments(seed: str) -> list[str]:
    """What the annotator wrote, line by line, squeezed."""
    lines = (line.partition("#")[2] or line for line in seed.splitlines() if CHINESE.search(line))
    return [squeezed(line) for line in lines]


def doubtful(seed: str) -> list[str]:
    return [text for text in comments(seed) if DOUBT.search(text) or EMPTY.fullmatch(text)]


def prose(language: str) -> str:
    cells = nbformat.read(PAGES[language], as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def fences(page: str) -> list[str]:
    """Lines of code in the prose that the file must have; solutions are ours."""
    page = re.sub("<details>.*?</details>", "", page, flags=re.S)
    lines = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)).splitlines()
    return [squeezed(line) for line in lines if line.strip() not in ("", "…")]


def spans(text: str) -> list[str]:
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return [squeezed(span) for span in re.findall("`([^`]+)`", text)]


def rows(page: str) -> list[list[str]]:
    """The rows of the tables, without their heads: what the file says, …, the lesson."""
    found = [line.strip(" |").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [row for row in found if "`" in row[0]]


def unanswered(seed: str, page: str) -> list[str]:
    """The doubtful comments that no row quotes so that it is clear which one is meant."""
    told = comments(seed)
    quotes = [quote for row in rows(page) for quote in spans(row[0])]
    left = doubtful(seed)
    for quote in quotes:
        places = [text for text in told if quote in text]
        meant = quote if quote in told else places[0] if len(places) == 1 else None
        if meant in left:
            left.remove(meant)  # one row for one comment, even if two comments are alike
    return left


def misquoted(seed: str, page: str) -> list[str]:
    """What the page gives for the file's words, and the file does not have."""
    quotes = [quote for row in rows(page) for quote in spans(row[0])]
    quotes += [span for span in spans(page) if CHINESE.search(span)]
    return [quote for quote in quotes + fences(page) if quote not in squeezed(seed)]


@each_page
def test_every_doubt_of_the_annotator_is_answered(seed, language):
    assert len(doubtful(seed)) >= 15  # the rule finds them
    assert unanswered(seed, prose(language)) == []


@each_page
def test_every_quote_stands_in_the_file(seed, language):
    page = prose(language)
    assert len(rows(page)) > 40 and len(fences(page)) > 20
    assert misquoted(seed, page) == []


@each_page
def test_a_lost_answer_or_a_wrong_word_is_noticed(seed, language):
    lines = prose(language).splitlines()
    noticed = []
    for line in lines:
        page = "\n".join(other for other in lines if other is not line)
        noticed += unanswered(seed, page)
    assert sorted(noticed) == sorted(doubtful(seed))  # each by the loss of its one row
    page = "\n".join(lines)
    assert misquoted(seed, page.replace("什么意思?", "什么意思呢?"))
    assert misquoted(seed, page.replace("patience <= iter:", "patience < iter:"))


@each_page
def test_every_row_leads_to_a_lesson(language):
    for row in rows(prose(language)):
        assert re.fullmatch(r"\[\d\d\]\(\d\d_\w+\.ipynb#cell-id=[\w-]+\)", row[-1]), row
        assert all(row), row


def test_both_languages_quote_the_same():
    quoted = [[spans(row[0]) for row in rows(prose(language))] for language in PAGES]
    assert quoted[0] == quoted[1]
    assert fences(prose("English")) == fences(prose("Chinese"))
