"""The course: true, the same in both languages, and readable where nobody runs it.

What the notebooks compute is compared by nbval (`make test`); here is everything else.
"""

import ast
import builtins
import html
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import matplotlib
import nbformat
import pytest

from lenet_keras import course
from lenet_keras.errors import LenetKerasError
from notebooks.translate import numbers, phrases, translated, words

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
COURSE = [
    "00_overview",
    "01_data",
    "02_convolution",
    "03_pooling_bias_tanh",
    "04_classifier",
    "05_gradients_and_updates",
    "06_patience",
    "07_training",
    "08_looking_inside",
    "09_onnx",
    "10_your_digits",
    "11_modern",
    "12_by_hand",
    "13_companion",
    "14_lenet5_1998",
]

IGNORED = "nbval-ignore-output"  # nbval runs such a cell and compares nothing

START = r"(?<![A-Za-z0-9_.])"  # a Chinese character may stand before a number
NUMBER = re.compile(START + r"(?:\d{1,3}(?:[,_]\d{3})+|\d+)(?:\.\d+)?")


def read(path):
    return nbformat.read(path, as_version=4)


each_lesson = pytest.mark.parametrize("name", COURSE)
each_notebook = pytest.mark.parametrize(
    "path",
    [NOTEBOOKS / folder / f"{name}.ipynb" for name in COURSE for folder in ("", "zh")],
    ids=lambda path: str(path.relative_to(NOTEBOOKS)),
)


def prose(cell):
    """A markdown cell without its code blocks."""
    return re.sub(r"^```.*?^```", "", cell.source, flags=re.M | re.S)


def headings(cell):
    """(level, text) of each heading, the text as it is displayed."""
    found = re.findall(r"^(#{1,6}) +(.+?) *$", prose(cell), re.M)
    return [(len(marks), displayed(text)) for marks, text in found]


def displayed(text):
    """A line of markdown without its marks: links, code, emphasis."""
    parts = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text).split("`")
    parts[::2] = [part.replace("*", "").replace("\\", "") for part in parts[::2]]
    return "".join(parts)


def anchors(notebook):
    """Where a link can lead: a cell, as #cell-id=its-id, or a plain heading, its spaces as dashes.

    JupyterLab compares a link's encoded text with a heading's plain text, so that it finds no
    heading with Chinese, quotes and the like in it. A cell it finds always.
    """
    cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    slugs = {text.replace(" ", "-") for cell in cells for _, text in headings(cell)}
    return {f"cell-id={cell.id}" for cell in notebook.cells} | {
        slug for slug in slugs if re.fullmatch(r"[\w.:*?,+~/-]+", slug, re.ASCII)
    }


def links(cell):
    return [unquote(target) for target in re.findall(r"\]\(<?([^)>\s]+)>?\)", prose(cell))]


def texts(cell):
    """What a code cell shows as text, pictures' data left out."""
    shown = []
    for output in cell.outputs:
        shown.append(output.get("text", ""))
        shown += [str(value) for kind, value in output.get("data", {}).items()]
    return [re.sub(r"data:image/\w+;base64,[\w+/=\s]+", "", text) for text in shown]


def prints(cell):
    """Whether a code cell shows text that nbval can compare."""
    return any(
        (output.output_type == "stream" and output.name == "stdout")
        or output.output_type == "execute_result"
        for output in cell.outputs
    )


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_the_lessons_are_there_in_both_languages():
    for folder in (NOTEBOOKS, NOTEBOOKS / "zh"):
        assert sorted(path.stem for path in folder.glob("*.ipynb")) == COURSE


class Mute(ast.NodeTransformer):
    """Code without what its strings say; the fields of an f-string stay, in no order."""

    def visit_Constant(self, node):
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node):
        fields = [part for part in node.values if isinstance(part, ast.FormattedValue)]
        return ast.JoinedStr(sorted(fields, key=ast.dump))


def mute(code):
    return ast.dump(Mute().visit(ast.parse(code)))


@each_lesson
def test_both_languages_have_the_same_build_and_chinese_its_own_prose(name):
    english, chinese = (read(NOTEBOOKS / folder / f"{name}.ipynb").cells for folder in ("", "zh"))
    ids = [cell.id for cell in english]
    assert ids == [cell.id for cell in chinese]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", id) for id in ids), ids
    for ours, theirs in zip(english, chinese):
        assert ours.cell_type == theirs.cell_type
        if ours.cell_type == "code":
            continue
        assert [level for level, _ in headings(ours)] == [level for level, _ in headings(theirs)]
        assert re.search("[\u4e00-\u9fff]", theirs.source), f"{theirs.id} has no Chinese"
        assert "待译" not in theirs.source, f"zh/{name}: {theirs.id} is not translated yet"
        assert quoted(ours) == quoted(theirs), f"{ours.id}: other numbers in Chinese"


@each_lesson
def test_both_languages_run_the_same_code_to_the_same_numbers_and_pictures(name):
    chinese = words(name)
    for ours, theirs in zip(
        *(code_cells(NOTEBOOKS / folder / f"{name}.ipynb") for folder in ("", "zh"))
    ):
        stale = f"{ours.id}: python notebooks/build.py run {name}, then carry {name}"
        assert ours.metadata == theirs.metadata, stale
        code = translated(ours.source, chinese)
        assert ast.dump(ast.parse(code)) == ast.dump(ast.parse(theirs.source)), stale
        assert sorted(phrases(code)) == sorted(phrases(theirs.source)), stale
        assert mute(ours.source) == mute(theirs.source), f"{ours.id}: zh/words/{name}.json"
        assert pictures(ours) == pictures(theirs), stale
        if not ours.metadata.get("tags"):
            assert numbers(ours) == numbers(theirs), stale


def pictures(cell):
    return sum(text.count("<img") for text in texts(cell))


@each_lesson
def test_code_in_chinese_speaks_chinese(name):
    """What stays English on purpose stands in the table as it is, as what the tutorial prints."""
    table = words(name)
    cells = code_cells(NOTEBOOKS / f"{name}.ipynb")
    found = {phrase for cell in cells for phrase in phrases(cell.source)}
    assert set(table) <= found, f"zh/words/{name}.json: no longer in the lesson"
    assert all(table.values())
    prose = {phrase for phrase in found if re.search(r"[a-z]{2,} [a-z]{2,}", phrase)}
    assert prose <= set(table), f"zh/words/{name}.json: no Chinese yet"
    for cell in code_cells(NOTEBOOKS / "zh" / f"{name}.ipynb"):
        for caption in re.findall(r"<figcaption[^>]*>(.*?)</figcaption>", "".join(texts(cell))):
            assert re.search("[\u4e00-\u9fff]", caption), cell.id


@each_lesson
def test_the_order_of_a_lesson(name):
    cells = read(NOTEBOOKS / f"{name}.ipynb").cells
    first, last = cells[0], cells[-1]
    assert first.source.startswith(f"# {name[:2]} ")
    chinese = read(NOTEBOOKS / "zh" / f"{name}.ipynb").cells[0]
    for cell, other in ((first, f"zh/{name}"), (chinese, f"../{name}")):
        assert f"{other}.ipynb" in links(cell), f"{cell.id} links to the other language"
    place = COURSE.index(name)
    for other in COURSE[max(place - 1, 0) : place] + COURSE[place + 1 : place + 2]:
        assert f"{other}.ipynb" in links(last), f"{last.id} links to the lessons next to this one"
    assert any("<summary>" in cell.source for cell in cells), "exercises have folded solutions"
    assert any("assert " in cell.source for cell in cells if cell.cell_type == "code")


@each_notebook
def test_committed_as_from_a_fresh_kernel_without_noise(path):
    assert path.stat().st_size < 1_500_000
    notebook = read(path)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    code = code_cells(path)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags", "jupyter"}
        shown = texts(cell) if cell.cell_type == "code" else []
        for private in ("/work/", "/root/", "/home/", "/tmp/", "/Users/", "site-packages"):
            assert not any(private in text for text in [cell.source, *shown]), cell.id
    for cell in code:
        assert all(output.output_type != "error" for output in cell.outputs), cell.id
        assert all(output.get("name") != "stderr" for output in cell.outputs), cell.id


@each_notebook
def test_each_picture_says_in_words_what_it_shows(path):
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            alts = re.findall(r"!\[(.*?)\]\(", prose(cell))
        else:
            shown = [output.get("data", {}) for output in cell.outputs]
            bare = [data for data in shown if any(kind.startswith("image/") for kind in data)]
            # the still picture of a widget, and no other, has its words beside it
            beside = ["".join(data["text/plain"]) for data in bare]
            widgets = ("DrawingPad: ", "FeatureMaps: ", "SlidingWindow: ", "Valley: ")
            assert all(text.startswith(widgets) for text in beside), f"{cell.id}: figures.show"
            pictures = re.findall(r"<img\b[^>]*>", "".join(texts(cell)))
            alts = [(re.findall(r'alt="([^"]*)"', picture) or [""])[0] for picture in pictures]
            captions = re.findall(r"<figcaption[^>]*>(.*?)</figcaption>", "".join(texts(cell)))
            assert captions == alts, f"{cell.id}: figures.show"
        assert all(len(html.unescape(alt)) > 15 for alt in alts), cell.id


@each_notebook
def test_links_lead_somewhere(path):
    notebook = read(path)
    for cell in notebook.cells:
        for target in links(cell) if cell.cell_type == "markdown" else []:
            if "://" in target:
                continue
            file, _, anchor = target.partition("#")
            other = path.parent / file if file else path
            assert other.exists(), f"{cell.id}: {target}"
            if anchor:
                assert anchor in anchors(read(other)), f"{cell.id}: {target}"


def quoted(cell):
    """Numbers with a decimal point or a thousands comma in the prose: not in code, not in links."""
    text = re.sub(r"\]\([^)]*\)|`[^`]*`", "]", prose(cell))
    numbers = NUMBER.findall(text)
    return {number.replace(",", "") for number in numbers if "." in number or "," in number}


@each_notebook
def test_quoted_numbers_are_computed_in_the_same_notebook(path):
    notebook = read(path)
    computed = set()
    for cell in code_cells(path):
        for text in [cell.source, *texts(cell)]:
            computed |= {re.sub("[,_]", "", number) for number in NUMBER.findall(text)}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            assert quoted(cell) <= computed, f"{cell.id}: {quoted(cell) - computed}"


def test_nbval_compares_nine_of_ten_cells_that_print():
    printing = compared = 0
    for name in COURSE:
        for cell in code_cells(NOTEBOOKS / f"{name}.ipynb"):
            assert "NBVAL_" not in cell.source, f"{cell.id}: a tag of the cell says it"
            assert cell.metadata.get("tags", [IGNORED]) == [IGNORED], cell.id
            if prints(cell):
                printing += 1
                compared += not cell.metadata.get("tags")
    print(f"{compared} of {printing} cells that print are compared")
    assert compared >= 0.9 * printing


def test_the_lessons_print_numbers_rather_than_true():
    found = {
        name: sum(
            len(re.findall(r"\bTrue\b", text))
            for cell in code_cells(NOTEBOOKS / f"{name}.ipynb")
            for text in texts(cell)
        )
        for name in COURSE
    }
    assert sum(found.values()) <= 20, found


def test_every_question_in_the_overview_leads_to_its_heading():
    cells = {cell.id: cell for cell in read(NOTEBOOKS / "00_overview.ipynb").cells}
    rows = [row for row in cells["open-questions"].source.splitlines() if row.startswith("|")][2:]
    assert len(rows) >= 5
    for row in rows:
        ((name, id),) = re.findall(r"\]\((\w+)\.ipynb#cell-id=([\w-]+)\)", row)
        (cell,) = (cell for cell in read(NOTEBOOKS / f"{name}.ipynb").cells if cell.id == id)
        assert headings(cell), row


def reading_minutes(notebook):
    """At 200 words a minute, 4 seconds a line of code and 15 a picture; exercises come on top."""
    words = lines = pictures = 0
    for cell in notebook.cells:
        if cell.id == "check-code":
            continue
        if cell.cell_type == "code":
            pictures += sum("<img" in text or "<svg" in text for text in texts(cell))
            if "jupyter" not in cell.metadata:  # folded
                lines += sum(bool(line.strip()) for line in cell.source.splitlines())
        elif cell.id != "exercises":
            unfolded = re.sub(r"<details>.*?</details>", "", cell.source, flags=re.S)
            blocks = re.findall(r"^```.*?^```", unfolded, re.M | re.S)
            lines += sum(len(block.splitlines()) - 2 for block in blocks)
            words += len(re.sub(r"^```.*?^```", "", unfolded, flags=re.M | re.S).split())
    return words / 200 + lines / 15 + pictures / 4


@each_lesson
def test_the_minutes_are_those_of_reading(name):
    counted = reading_minutes(read(NOTEBOOKS / f"{name}.ipynb"))
    for folder in ("", "zh"):
        lesson, overview = (read(NOTEBOOKS / folder / f"{n}.ipynb") for n in (name, COURSE[0]))
        (said,) = re.findall(r"(\d+) (?:minutes|分钟)", lesson.cells[0].source)
        assert abs(int(said) - counted) <= 4, f"{said} minutes are said, {counted:.0f} counted"
        (course,) = (cell.source for cell in overview.cells if cell.id == "map")
        if name != COURSE[0]:
            assert re.findall(rf"\]\({name}\.ipynb\) \|.*\| (\d+) \|", course) == [said]


@each_lesson
def test_code_that_only_draws_is_folded_and_no_other(name):
    for cell in code_cells(NOTEBOOKS / f"{name}.ipynb"):
        folded = "jupyter" in cell.metadata
        assert folded or not cell.id.endswith("-picture"), cell.id
        if folded:
            assert cell.metadata["jupyter"] == {"source_hidden": True}, cell.id
            assert "figures.show(" in cell.source and not prints(cell), cell.id
            assert "assert " not in cell.source, cell.id


def exercises(path):
    """The exercises of a notebook, and the code of the cell below them, which checks an answer."""
    source = {cell.id: cell.source for cell in read(path).cells}
    ids = " ".join(source)
    assert " exercises check-code " in ids, f"{path.name}: no cell check-code below exercises"
    return source["exercises"], source["check-code"]


def solutions(markdown):
    """The number of each exercise, and the code of its folded solution."""
    _, *parts = re.split(r"^\*\*(\d+)\.\*\* ", markdown, flags=re.M)
    blocks = (re.findall(r"^```python\n(.*?)^```", part, re.M | re.S) for part in parts[1::2])
    return dict(zip(parts[::2], map("\n".join, blocks)))


def asked(check):
    """What a checking cell asks for: the number of the exercise, and the name of the answer."""
    form = r"# \D*(\d+)\D.*\n(\w+) = \.\.\.(?:  # .+)?\n\nif \2 is \.\.\.:\n"
    return re.match(form, check).groups()


def given(code):
    """The names that Python code gives to something."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
    return names


@each_notebook
def test_a_cell_below_the_exercises_checks_an_answer(path):
    markdown, check = exercises(path)
    number, name = asked(check)
    assert number in solutions(markdown)
    _, choice = ast.parse(check).body
    (waits,), (*_, praise) = choice.body, choice.orelse
    assert all(ast.unparse(line).startswith("print(") for line in (waits, praise))
    refusals = [node for node in ast.walk(choice) if isinstance(node, ast.Assert)]
    assert refusals and all(node.msg for node in refusals)
    assert len(re.findall(rf"\b{name}\b", check)) > 2  # it is set, looked for, and used


@each_notebook
def test_solutions_and_checks_use_names_that_there_are(path):
    markdown, check = exercises(path)
    known = {"T", "cost", *dir(builtins)}.union(*(given(c.source) for c in code_cells(path)))
    for number, code in {**solutions(markdown), "check": check}.items():
        used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
        assert used <= known | given(code), number


PARTS_OF_1998 = ("squash", "subsampling", "table", "bitmaps", "model")
# lesson: (its cells that the check and the solution need, what they need besides, then in the
# solution's words the right answer, and a wrong one)
ANSWERS = {
    "00_overview": ([], "import keras", "50 * 20 * 20 * 500 + 500", "800 * 500 + 500"),
    "01_data": (
        [],
        "import numpy as np; from lenet_keras import figures, load_mnist; mnist = load_mnist()",
        "never.sum()",
        "never.sum() + 1",
    ),
    "02_convolution": (
        ["tutorial-code", "window-code", "slide-code", "turn-code"],
        "",
        "ring",
        "corner",
    ),
    "03_pooling_bias_tanh": ([], "import keras, numpy as np", "(5, 6)", "(6, 5)"),
    "04_classifier": (
        ["softmax-code", "nll-code"],
        "import keras, numpy as np\n"
        "scores = np.random.RandomState(0).normal(size=(50, 10)).astype(np.float32)\n"
        "answers, labels = scores.argmax(axis=1), np.arange(50) % 10",
        "negative_log_likelihood(softmax(3 * scores), labels).mean()",
        "3 * costs.mean()",
    ),
    "05_gradients_and_updates": (
        ["load-code"],
        "import keras, numpy as np, tensorflow as tf\n"
        "images, labels = np.eye(28, dtype=np.uint8)[None].repeat(9, axis=0), np.arange(9)\n"
        "nll = keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
        "'logits'",
        "'hidden'",
    ),
    "06_patience": (
        ["load-code"],
        "import keras; model = keras.Sequential()",
        "stopped_after",
        "lambda errors, p: p",
    ),
    "07_training": (
        ["theano-code"],
        "import numpy as np",
        "[signs.count(-1), signs.count(0), signs.count(1)]",
        "[signs.count(1), signs.count(0), signs.count(-1)]",
    ),
    "08_looking_inside": (
        [],
        "import keras, numpy as np; from lenet_keras import build_lenet5, load_mnist\n"
        "images, their_labels = (each[:50] for each in load_mnist().test)\n"
        "model, rng = build_lenet5(), np.random.RandomState(0)\n"
        "model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])",
        "np.argmax(costs)",
        "np.argmin(costs)",
    ),
    "09_onnx": (
        [],
        "import numpy as np; from lenet_keras import build_lenet5; model = build_lenet5()\n"
        "model.set_weights([np.random.normal(size=w.shape) for w in model.get_weights()])\n"
        "images, labels = np.zeros((9, 28, 28), np.uint8), np.zeros(9, int)",
        "rounded",
        "lambda w, bits: w",
    ),
    "10_your_digits": (
        ["draw-code", "pad-code", "program-code"],
        "from lenet_keras import Classifier, figures",
        "[look.label == 5 for look in looks].index(False)",
        "[look.is_digit for look in looks].index(False)",
    ),
    "11_modern": (
        [],
        "import keras, tensorflow as tf",
        "moved",
        "lambda gradients, rate, share: -rate * sum(gradients)",
    ),
    "12_by_hand": (
        ["load-code", "tape-check-code", "pool-code"],
        "import numpy as np; rng = np.random.default_rng(0)",
        "mean_pool_back",
        "lambda blame: blame.repeat(2, axis=1).repeat(2, axis=2)",
    ),
    "13_companion": ([], "import numpy; rows = numpy.arange(50_000)", "50_000 % 300", "300"),
    "14_lenet5_1998": (
        ["imports-code", *(f"{part}-layer" for part in PARTS_OF_1998)],
        "from lenet_keras import load_mnist; mnist = load_mnist()\n"
        "train = n_wrong = lambda *_: None  # it takes too long",
        "full.get_layer('C3').count_params()",
        "TABLE.sum() * 25 + 16",
    ),
}


@each_lesson
def test_the_check_takes_the_solution_and_refuses_something_else(name, monkeypatch):
    monkeypatch.setenv("LENET_KERAS_DATA", "digits")
    assert name in ANSWERS, f"ANSWERS has no right and no wrong answer for {name}"
    cells, besides, right, wrong = ANSWERS[name]
    source = {cell.id: cell.source for cell in code_cells(NOTEBOOKS / f"{name}.ipynb")}
    lesson = {}
    with matplotlib.rc_context():
        for code in (besides, *(source[id] for id in cells)):
            exec(code, lesson)
        markdown, _ = exercises(NOTEBOOKS / f"{name}.ipynb")
        for folder in ("", "zh"):
            _, check = exercises(NOTEBOOKS / folder / f"{name}.ipynb")
            number, _ = asked(check)
            exec(solutions(markdown)[number], lesson)
            exec(check.replace("...", right, 1), lesson)
            with pytest.raises(AssertionError) as refusal:
                exec(check.replace("...", wrong, 1), lesson)
            assert str(refusal.value)


@pytest.mark.parametrize("here", [".", "notebooks", "notebooks/zh", "results/tutorial"])
def test_a_lesson_finds_the_repository_from_any_folder_of_it(here, tmp_path, monkeypatch):
    monkeypatch.setattr(course, "__file__", str(tmp_path / "lenet_keras" / "course.py"))
    monkeypatch.chdir(ROOT / here)
    assert course.repository() == ROOT


def test_a_lesson_opened_alone_finds_the_repository_that_lenet_keras_runs_from(
    tmp_path, monkeypatch
):
    (tmp_path / "results").mkdir()  # somebody else's
    monkeypatch.chdir(tmp_path)
    assert course.repository() == ROOT


def test_a_lesson_opened_alone_says_what_to_do_where_there_is_no_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(course, "__file__", str(tmp_path / "lenet_keras" / "course.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LenetKerasError, match="make lab") as error:
        course.repository()
    assert str(tmp_path) in str(error.value)


def nbval(*arguments, **environment):
    """One run of pytest on notebooks, as `make test` does it."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval-current-env"]
        + [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_nbval_fails_where_a_number_was_changed(tmp_path):
    """A cell of 01, alone in a notebook: as it is, with another number, with a wrong assertion."""
    notebook = read(NOTEBOOKS / "01_data.ipynb")
    notebook.cells = [cell for cell in notebook.cells if cell.id == "rows-code"]
    whole, changed, wrong = (tmp_path / f"{name}.ipynb" for name in ("whole", "changed", "wrong"))
    text = nbformat.writes(notebook)
    (output,) = notebook.cells[0].outputs
    assert "784" in output.text
    whole.write_text(text)
    output.text = output.text.replace("784", "785", 1)
    changed.write_text(nbformat.writes(notebook))
    wrong.write_text(text.replace("28 * 28", "28 * 26"))
    assert nbval("--nbval", whole).returncode == 0
    assert nbval("--nbval", changed).returncode == 1
    assert nbval("--nbval-lax", changed).returncode == 0
    assert nbval("--nbval-lax", wrong).returncode == 1


@pytest.mark.parametrize(("tags", "code"), [([], 1), ([IGNORED], 0)])
def test_nbval_heeds_the_tag(tmp_path, tags, code):
    cell = nbformat.v4.new_code_cell("print(2)", execution_count=1, metadata={"tags": tags})
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="3\n")]
    path = tmp_path / "tag.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    assert nbval("--nbval", path).returncode == code


@pytest.mark.parametrize(
    ("stored", "code"), [("5.2e-07", 0), ("0.0e+00", 0), ("3.1e-03", 1), ("0.0000", 1)]
)
def test_nbval_takes_rounding_for_rounding_and_nothing_else(tmp_path, stored, code):
    cell = nbformat.v4.new_code_cell('print("3.1e-08")', execution_count=1)
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"{stored}\n")]
    path = tmp_path / "rounding.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    done = nbval("-p", "conftest", "--nbval", path, LENET_KERAS_DATA=str(ROOT))
    assert done.returncode == code, done.stdout


def test_without_mnist_notebooks_are_executed_and_not_compared():
    overview = NOTEBOOKS / "00_overview.ipynb"
    for data, said in (("digits", True), (str(ROOT), False)):
        done = nbval("--nbval", "--collect-only", overview, LENET_KERAS_DATA=data)
        assert ("outputs not compared" in done.stdout) == said, done.stdout
