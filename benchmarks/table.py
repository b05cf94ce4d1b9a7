"""Tables in Markdown, row by row."""

from __future__ import annotations


def header(*titles: object) -> str:
    """The first two lines. What comes below is numbers, but for the first column."""
    return f"{row(*titles)}\n| --- |" + " ---: |" * (len(titles) - 1)


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"
