"""The lessons for Colab, each with a first cell that brings the rest of the repository there.

For both languages, into a folder, of the repository that GITHUB_REPOSITORY names:
``python docs/site/colab.py FOLDER``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent.parent
FETCH = """\
# Colab has nothing of the course yet: fetch it, which takes a minute or two
!git clone --quiet --depth 1 https://github.com/{repository} course
%cd course/{folder}
%pip install --quiet -e "{root}[train]" anywidget
from google.colab import output

output.enable_custom_widget_manager()  # to draw in lesson 10"""


def main(target: Path) -> None:
    repository = os.environ["GITHUB_REPOSITORY"]
    for folder, root in (("notebooks", ".."), ("notebooks/zh", "../..")):
        (target / folder).mkdir(parents=True, exist_ok=True)
        fetch = FETCH.format(repository=repository, folder=folder, root=root)
        for path in sorted((ROOT / folder).glob("*.ipynb")):
            lesson = nbformat.read(path, as_version=4)
            lesson.cells.insert(0, nbformat.v4.new_code_cell(fetch, id="colab"))
            nbformat.write(lesson, target / folder / path.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
