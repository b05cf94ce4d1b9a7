"""Progress bars for long work, on stderr, in a terminal only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["Advance", "bars", "progress_bar"]


class Advance(Protocol):
    """Moves a bar by ``steps``; ``note`` is shown behind it from then on."""

    def __call__(self, steps: int = 1, note: str = "") -> None: ...


def bars() -> Progress:
    """Any number of bars: ``with bars() as board:``, then ``board.add_task(name, note="")``.

    What is printed meanwhile appears above them. rich knows terminals, pipes and NO_COLOR.
    """
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal or console.is_dumb_terminal,
        redirect_stdout=sys.stdout.isatty(),  # answers go into a pipe or file as they are
    )


@contextlib.contextmanager
def progress_bar(total: int, done: int = 0) -> Iterator[Advance]:
    """``with progress_bar(total) as advance:`` a bar is there while the block runs.

    Args:
        total: steps of the whole work.
        done: steps that were done before.
    """
    with bars() as board:
        task = board.add_task("", total=total, completed=done, note="")

        def advance(steps: int = 1, note: str = "") -> None:
            board.update(task, advance=steps, note=note)

        yield advance
