"""The Chinese code cells: the English ones, with their comments and strings put into Chinese.

    python notebooks/translate.py NAME...   a lesson's phrases that have no Chinese yet

zh/words/NAME.json holds the Chinese of a lesson's code: English phrase to Chinese phrase. A
phrase is a comment without its mark, or a string as its source has it, with `\\n` and the
{fields} of an f-string written out, and neighbouring strings joined. A phrase that is not in
the table stays as it is.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from pathlib import Path

import nbformat

HERE = Path(__file__).parent
COLUMNS = 96  # of a line that is wrapped; a Chinese character takes two

STRING = (
    r"(?<![A-Za-z0-9_])[rbfRBF]{0,2}"
    r"(?:\"{3}(?:\\.|[^\\])*?\"{3}|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')"
)
PHRASE = re.compile(rf"#(?P<comment>[^\n]*)|{STRING}(?:\s*{STRING})*", re.DOTALL)
PARTS = re.compile(r"([rbfRBF]{0,2})(\"{3}|[\"'])((?:\\.|(?!\2).)*)\2", re.DOTALL)
# what a line is not broken in: doubled braces, a field, an escape, a word with its space
ATOM = re.compile(
    r"\{\{|\}\}|\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|\\.|[\w.,%+-]+ ?|.", re.ASCII | re.DOTALL
)


def words(lesson: str) -> dict[str, str]:
    """The Chinese of a lesson's code cells, by English phrase."""
    table = HERE / "zh" / "words" / f"{lesson}.json"
    return json.loads(table.read_text(encoding="utf-8")) if table.exists() else {}


def phrases(code: str) -> list[str]:
    """The comments and strings of Python code, in order."""
    return [_phrase(match) for match in PHRASE.finditer(code)]


def translated(code: str, chinese: dict[str, str]) -> str:
    """Python code with its comments and strings in Chinese; all else is as it was."""

    def replaced(match: re.Match) -> str:
        phrase = _phrase(match)
        if phrase not in chinese:
            return match[0]
        if match["comment"] is not None:
            return f"# {chinese[phrase]}"
        return _literal(match, chinese[phrase])

    return PHRASE.sub(replaced, code)


def numbers(cell: nbformat.NotebookNode) -> list[str]:
    """The numbers that a code cell prints, in no order: Chinese may put them in another."""
    printed = "".join(output.get("text", "") for output in cell.outputs)
    return sorted(re.findall(r"\d+(?:[.,]\d+)*", printed))


def _phrase(match: re.Match) -> str:
    if match["comment"] is not None:
        return match["comment"].strip()
    return "".join(part[3] for part in PARTS.finditer(match[0]))


def _literal(match: re.Match, text: str) -> str:
    """The text in place of a string: as many lines as it needs, where there were several."""
    parts = list(PARTS.finditer(match[0]))
    mark = "f" if any("f" in part[1].lower() for part in parts) else parts[0][1]
    quote = parts[0][2]
    if len(parts) == 1:
        return f"{mark}{quote}{text}{quote}"
    indent = re.search(r"\n *", match[0][parts[0].end() :])[0]
    return indent.join(f"{mark}{quote}{line}{quote}" for line in _wrapped(text, len(indent) + 3))


def _wrapped(text: str, taken: int) -> list[str]:
    lines, left = [""], COLUMNS - taken
    for atom in ATOM.findall(text):
        width = sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in atom)
        if width > left:
            lines.append("")
            left = COLUMNS - taken
        lines[-1] += atom
        left -= width
    return lines


def main(lessons: list[str]) -> int:
    if not lessons:
        print(__doc__)
        return 2
    for path in (p for p in sorted(HERE.glob("*.ipynb")) if p.stem.startswith(tuple(lessons))):
        cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        found = dict.fromkeys(phrase for cell in cells for phrase in phrases(cell.source))
        known = words(path.stem)
        new = {p: "" for p in found if p not in known and re.search(r"[A-Za-z]{2}", p)}
        print(json.dumps(new, ensure_ascii=False, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
