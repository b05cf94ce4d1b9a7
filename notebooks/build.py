"""Keep the notebooks true: run the English ones, carry code and outputs to the Chinese ones.

    python notebooks/build.py run [NAME...]    execute notebooks/NAME.ipynb in place, tidied
    python notebooks/build.py carry [NAME...]  copy code cells and outputs to zh/, keep its prose

NAME is 01 or 01_data; without one, all. Code is edited in the English notebook only. A cell
is known by its id: a Chinese notebook holds the prose, and `carry` puts it in the English
order. Prose that is missing comes over in English, marked, and the tests fail until it is written.
"""

from __future__ import annotations

import copy
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

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


def run(path: Path) -> None:
    """Execute a notebook from a fresh kernel, in its own folder, and write it back."""
    notebook = read(path)
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
    print(f"{path.name}: {time.perf_counter() - began:.0f} s")
    for cell in notebook.cells:
        if any(output.get("name") == "stderr" for output in cell.get("outputs", [])):
            print(f"  cell {cell.id} wrote to stderr: find out why and stop it")


def carried(path: Path) -> tuple[nbformat.NotebookNode, list[str]]:
    """The Chinese notebook as it should be, and the ids of cells whose prose is missing."""
    notebook = copy.deepcopy(read(path))
    target = HERE / "zh" / path.name
    theirs = read(target).cells if target.exists() else []
    prose = {cell.id: cell.source for cell in theirs if cell.cell_type == "markdown"}
    missing = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = prose.get(cell.id, MISSING)
            if text.startswith(MISSING):
                missing.append(cell.id)
                text = MISSING + cell.source
            cell.source = text
    return notebook, missing


def carry(path: Path) -> None:
    """Bring code and outputs of an English notebook to the Chinese one."""
    notebook, missing = carried(path)
    (HERE / "zh").mkdir(exist_ok=True)
    write(notebook, HERE / "zh" / path.name)
    print(f"zh/{path.name}: " + (f"no prose yet for {', '.join(missing)}" if missing else "whole"))


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
