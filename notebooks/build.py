"""Keep the notebooks true: run the English ones, carry them over to the Chinese ones.

    python notebooks/build.py run [NAME...]    execute notebooks/NAME.ipynb in place, tidied
    python notebooks/build.py carry [NAME...]  put its code into Chinese in zh/, keep zh's prose

NAME is 01 or 01_data; without one, all. Code is edited in the English notebook only: zh/words/
has the Chinese of its strings and comments (translate.py), and `carry` executes a Chinese notebook
whose code or results are no longer those of the English one. A cell is known by its id: a Chinese
notebook holds the prose, and `carry` puts it in the English order. Prose that is missing comes
over in English, marked, and the tests fail until it is written.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from translate import numbers, translated, words

HERE = Path(__file__).parent
MISSING = "<!-- 待译 -->\n"  # "to be translated"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def english(names: list[str]) -> list[Path]:
    """The English notebooks of these names, or all of them, in order."""
    every = sorted(HERE.glob("[0-9][0-9]_*.ipynb"))
    unknown = [name for name in names if not any(p.stem.startswith(name) for p in every)]
    if unknown:
        sys.exit(f"There is no notebook {', '.join(unknown)} in {HERE.name}/.")
    return [p for p in every if not names or any(p.stem.startswith(name) for name in names)]


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def kept(metadata: dict) -> dict:
    """What a cell says on purpose: its tags, for nbval, and that JupyterLab folds its code away."""
    keep = {"tags": metadata["tags"]} if metadata.get("tags") else {}
    if metadata.get("jupyter", {}).get("source_hidden"):
        keep["jupyter"] = {"source_hidden": True}
    return keep


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a valid notebook, tidied of all that changes from one execution to the next."""
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    count = 0
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(kept(cell.metadata))
        if cell.cell_type != "code":
            continue
        # one after the other, as from a fresh kernel; nbval takes None for "never run"
        count += 1
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
            if "metadata" in output:
                output.metadata = {}
            # which widget it was is known to its kernel only; its text/plain stays
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook).rstrip() + "\n", encoding="utf-8")


def executed(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Execute a notebook from a fresh kernel, in the folder of its file, and write it there."""
    began = time.perf_counter()
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        coalesce_streams=True,
        store_widget_state=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    write(notebook, path)
    print(f"{path.relative_to(HERE)}: {time.perf_counter() - began:.0f} s", flush=True)
    for cell in notebook.cells:
        if any(output.get("name") == "stderr" for output in cell.get("outputs", [])):
            print(f"  cell {cell.id} wrote to stderr: find out why and stop it")


def run(path: Path) -> None:
    """Execute an English notebook in place."""
    executed(read(path), path)


def carried(path: Path) -> tuple[nbformat.NotebookNode, list[str]]:
    """The Chinese notebook as it should be, not yet executed, and the ids of missing prose."""
    notebook = read(path)
    target = HERE / "zh" / path.name
    theirs = read(target).cells if target.exists() else []
    prose = {cell.id: cell.source for cell in theirs if cell.cell_type == "markdown"}
    chinese = words(path.stem)
    missing = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = translated(cell.source, chinese)
            continue
        text = prose.get(cell.id, MISSING)
        if text.startswith(MISSING):
            missing.append(cell.id)
            text = MISSING + cell.source
        cell.source = text
    return notebook, missing


def formatted(notebook: nbformat.NotebookNode, path: Path) -> nbformat.NotebookNode:
    """The notebook with its code laid out anew, as `ruff format` does it to a file of that path."""
    ruff = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(path), "-"]
    text = nbformat.writes(notebook)
    done = subprocess.run(ruff, input=text, stdout=subprocess.PIPE, text=True, check=True)
    return nbformat.reads(done.stdout, as_version=4)


def carry(path: Path) -> None:
    """Bring an English notebook over to the Chinese one, and execute that where it must be."""
    target = HERE / "zh" / path.name
    before = {cell.id: cell for cell in read(target).cells} if target.exists() else {}
    notebook, missing = carried(path)
    notebook = formatted(notebook, target)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if all(cell.id in before and still_true(before[cell.id], cell) for cell in code):
        for cell in code:
            cell.outputs = before[cell.id].outputs
        write(notebook, target)
    else:
        executed(notebook, target)
    print(f"zh/{path.name}: " + (f"no prose yet for {', '.join(missing)}" if missing else "whole"))


def still_true(before: nbformat.NotebookNode, cell: nbformat.NotebookNode) -> bool:
    """Whether a Chinese cell has this code, and printed the numbers that the English one prints."""
    same = before.source == cell.source
    return same and (bool(cell.metadata.get("tags")) or numbers(before) == numbers(cell))


def main(arguments: list[str]) -> int:
    command, *names = arguments or [""]
    if command not in ("run", "carry"):
        print(__doc__)
        return 2
    if os.path.exists(data := os.environ.get("LENET_KERAS_DATA", "")):
        os.environ["LENET_KERAS_DATA"] = os.path.abspath(data)  # kernels start in notebooks/
    for path in english(names):
        {"run": run, "carry": carry}[command](path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
