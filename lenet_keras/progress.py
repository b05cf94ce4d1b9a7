"""A progress bar for long work, on stderr, in a terminal only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["Advance", "progress_bar"]


class Advance(Protocol):
    """Moves a bar by so many steps; ``note`` is what stands behind it from now on."""

    def __call__(self, steps: int = 1, note: str = "") -> None: ...


@contextlib.contextmanager
def progress_bar(total: int, done: int = 0) -> Iterator[Advance]:
    """``with progress_bar(total) as advance:`` the bar is there while the block runs.

    What is printed meanwhile appears above it. Pipes, NO_COLOR and dumb terminals are
    respected.

    Args:
        total: steps of the whole work.
        done: steps that were done before.
    """
    console = Console(stderr=True)
    bar = Progress(
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal or console.is_dumb_terminal,
        redirect_stdout=sys.stdout.isatty(),  # into a pipe or file, answers go as they are
    )
    with bar:
        task = bar.add_task("", total=total, completed=done, note="")

        def advance(steps: int = 1, note: str = "") -> None:
            bar.update(task, advance=steps, note=note)

        yield advance
