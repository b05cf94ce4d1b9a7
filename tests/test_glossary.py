"""The glossary, and what every lesson has for learners: questions to remember and reading."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"English": ROOT / "notebooks", "Chinese": ROOT / "notebooks/zh"}
LESSONS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
COMPANION = "13_companion"  # asks nothing of its own: it answers

each_language = pytest.mark.parametrize("language", FOLDERS)


def rows(language: str) -> list[list[str]]:
    """English, Chinese, the annotator's word, what it is, the lesson's link."""
    table = (FOLDERS[language] / "GLOSSARY.md").read_text(encoding="utf-8").splitlines()
    cells = [line[1:-1].split("|") for line in table if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in cells[2:]]  # the first two are its head


def cells(language: str, name: str) -> list[nbformat.NotebookNode]:
    return nbformat.read(FOLDERS[language] / f"{name}.ipynb", as_version=4).cells


def bold(source: str) -> set[str]:
    """What stands in bold in the prose, in small letters."""
    prose = re.sub(r"^```.*?^```", "", source, flags=re.M | re.S)
    return {text.lower() for text in re.findall(r"\*\*(.+?)\*\*", prose)}


def first_in_bold(language: str) -> dict[str, str]:
    """Each text in bold → the first cell of the course that has it, as a link."""
    found: dict[str, str] = {}
    for name in LESSONS:
        for cell in cells(language, name):
            if cell.cell_type == "markdown":
                for text in bold(cell.source):
                    found.setdefault(text, f"{name}.ipynb#cell-id={cell.id}")
    return found


def in_order(language: str) -> list[str]:
    """Every cell of the course, as a link."""
    return [f"{name}.ipynb#cell-id={cell.id}" for name in LESSONS for cell in cells(language, name)]


def place(found: dict[str, str], term: str) -> str | None:
    """Where a term is first in bold; the lesson may have it in the plural."""
    return found.get(term.lower(), found.get(term.lower() + "s"))


@each_language
def test_each_term_is_first_in_bold_where_its_link_leads(language):
    found = first_in_bold(language)
    column = list(FOLDERS).index(language)
    table = rows(language)
    assert len(table) >= 60
    for row in table:
        number, link = re.fullmatch(r"\[(\d\d)\]\((.+)\)", row[4]).groups()
        assert link.startswith(number)
        assert place(found, row[column]) == link, row[column]
    links = [row[4].partition("(")[2].rstrip(")") for row in table]
    assert links == sorted(links, key=in_order(language).index)


def test_the_glossary_is_the_same_in_both_languages():
    english, chinese = rows("English"), rows("Chinese")
    assert [row[:3] + row[4:] for row in english] == [row[:3] + row[4:] for row in chinese]
    terms = [row[0] for row in english]
    assert len(set(terms)) == len(terms)
    assert all(row[3].endswith((".", ".)")) for row in english)
    assert all(re.search("[\u4e00-\u9fff]", row[3]) for row in chinese)


def test_the_annotator_really_uses_these_words(seed):
    words = [row[2].strip("`") for row in rows("English") if row[2]]
    assert len(words) >= 10
    assert not [word for word in words if word not in seed]


@each_language
@pytest.mark.parametrize("name", [name for name in LESSONS if name != COMPANION])
def test_each_lesson_ends_with_questions_exercises_and_reading(name, language):
    prose = [cell for cell in cells(language, name) if cell.cell_type == "markdown"]
    last = prose[-4:]
    assert [cell.id for cell in last] == ["recall", "exercises", "reading", "onward"]
    recall, exercises, reading, _ = last
    folded = re.findall(r"<details><summary>(.+)</summary>\n\n(.+)\n\n</details>", recall.source)
    assert len(folded) == 5 == recall.source.count("<details>")
    assert all(question[-1] in "?？" and answer for question, answer in folded)
    assert 2 <= len(re.findall(r"^- \[.+?\]\(https?://", reading.source, re.M)) <= 4
    marks = r"^\*\*\d\.\*\* [(（](easy|medium|hard|易|中|难)[)）]"
    levels = re.findall(marks, exercises.source, re.M)
    assert len(levels) == exercises.source.count("<summary>")


@each_language
def test_the_first_lesson_leads_to_the_glossary(language):
    assert any("](GLOSSARY.md)" in cell.source for cell in cells(language, "00_overview"))
