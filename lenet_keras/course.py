"""Where the course lies: its lessons read what the repository keeps under results/ and export/."""

from __future__ import annotations

from pathlib import Path

from lenet_keras.errors import LenetKerasError

__all__ = ["repository"]


def repository() -> Path:
    """The repository: the working folder or one above it, else the one that lenet_keras runs from.

    Raises:
        LenetKerasError: neither is there, as where a lesson was fetched alone.
    """
    here, package = Path.cwd(), Path(__file__).resolve().parent
    for folder in (here, *here.parents, package.parent):
        if (folder / "results/tutorial/run.json").is_file():
            return folder
    raise LenetKerasError(
        f"This lesson reads recorded runs from the repository's results/, and neither {here} nor a "
        "folder above it has them. Fetch the whole repository (git clone, or its zip), then open "
        "the lesson from there: make lab."
    )
