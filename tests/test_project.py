"""The project's own promises: one way through the modules, nothing listed twice, true numbers."""

import ast
import graphlib
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest
import yaml
from packaging.requirements import Requirement
from PIL import Image

from lenet_keras.recipe import RECIPES, Recipe

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# One way through the package; each may use those before it, and none after.
FLOW = "errors storage recipe data model figures training run ship scale cli".split()  # noqa: SIM905


def imports() -> dict[str, set[str]]:
    """Every module of the package, by its name below lenet_keras, and those it imports."""
    package = ROOT / "lenet_keras"
    names = {
        path: ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__")
        for path in package.rglob("*.py")
    }
    graph = {}
    for path, name in names.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lenet_keras"):
                module = node.module.removeprefix("lenet_keras").removeprefix(".")
                full = {f"{module}.{alias.name}".removeprefix(".") for alias in node.names}
                found |= {each if each in names.values() else module for each in full}
            elif isinstance(node, ast.Import):
                found |= {
                    alias.name.removeprefix("lenet_keras.")
                    for alias in node.names
                    if alias.name.startswith("lenet_keras.")
                }
        graph[name] = found & set(names.values())
    return graph


def test_nothing_imports_upward():
    graph = imports()
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises where there is a circle
    for name in graph:
        below, new = set(), {name}
        while new:
            below |= new
            new = {other for each in new for other in graph[each]} - below
        rooms = {each.partition(".")[0] for each in below}
        room = name.partition(".")[0]
        if room in FLOW:
            upward = rooms & set(FLOW[FLOW.index(room) + 1 :])
            assert not upward, f"{name} depends on {upward}"


def test_the_package_changes_nothing_when_it_is_imported():
    """No hook, no stream, no loaded framework: defaults in the environment are all."""
    code = """
import sys, warnings
before = list(sys.meta_path), sys.stdout, sys.stderr, list(warnings.filters)
import lenet_keras
assert before == (list(sys.meta_path), sys.stdout, sys.stderr, list(warnings.filters))
assert not {"keras", "tensorflow", "numpy", "onnxruntime"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tensorflow_starts_without_a_word():
    """Its notes on CPU and GPU would stand in red under the first cell of every notebook."""
    code = "from lenet_keras import quiet_tensorflow; quiet_tensorflow()\n"
    code += "import tensorflow; print(tensorflow.constant(1).numpy())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_tensorflow_that_fails_is_heard(tmp_path):
    """Whether it raises or the process dies in its native code."""
    code = "from lenet_keras import quiet_tensorflow; quiet_tensorflow()"
    for dying in ("raise ImportError('no such library')", "os.abort()"):
        (tmp_path / "tensorflow.py").write_text(f"import os; os.write(2, b'a note'); {dying}")
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
            capture_output=True,
            text=True,
        )
        assert done.returncode != 0
        heard = "a note" in done.stderr and "no such library" in done.stderr
        assert heard or "Fatal Python error: Aborted" in done.stderr


WITHOUT = """
import sys
for name in ("keras", "tensorflow", "matplotlib", "onnx", "sklearn", "scipy", "tf2onnx", "ray"):
    sys.modules[name] = None  # an import raises ModuleNotFoundError
"""


def test_an_app_needs_no_training_packages(tmp_path):
    code = WITHOUT + (
        "import numpy as np, lenet_keras; from lenet_keras.cli import main\n"
        "assert lenet_keras.Classifier()(np.zeros((9, 9), np.uint8)).label is None\n"
        "try: lenet_keras.train\n"
        "except ModuleNotFoundError as error: print(error)\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    Image.new("L", (30, 20), 255).save(tmp_path / "blank.png")
    classify = subprocess.run(
        [sys.executable, "-c", code, "classify", str(tmp_path / "blank.png")],
        capture_output=True,
        text=True,
    )
    assert classify.returncode == 0 and "blank" in classify.stdout.splitlines()[-1]
    assert "pip install 'lenet-keras[train]'" in classify.stdout
    for command in (["train"], ["evaluate", "x"], ["export", "x", "--to", str(tmp_path)]):
        done = subprocess.run(
            [sys.executable, "-c", code, *command], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        assert "pip install 'lenet-keras[train]'" in done.stderr


def test_conda_and_pip_users_get_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert environment["name"] == PROJECT["name"]
    python = f"python {PROJECT['requires-python']}"
    assert conda == [python, "pip"], f"environment.yml asks for another Python than {python}."
    assert pip == {"pip": ["-e .[all]"]}
    everything = PROJECT["optional-dependencies"]
    extras = re.fullmatch(r"lenet-keras\[(.*)\]", everything["all"][0])[1].split(",")
    assert set(extras) == set(everything) - {"all", "gpu"}


def test_the_lock_has_every_dependency_within_its_range_with_hashes():
    lock = (ROOT / "requirements.lock").read_text()
    pins = dict(re.findall(r"^([a-z0-9_.-]+)==(\S+)", lock, re.M))
    blocks = re.split(r"\n(?=\S)", lock.strip())
    assert all("--hash=sha256:" in block for block in blocks if "==" in block)
    assert "://" not in lock and "--index" not in lock
    extras = itertools.chain(*PROJECT["optional-dependencies"].values())
    for wanted in map(Requirement, [*PROJECT["dependencies"], *extras]):
        pin = pins.get(wanted.name, "none")
        within = wanted.name == PROJECT["name"] or (pin != "none" and pin in wanted.specifier)
        assert within, f"{wanted} is asked for, and the lock has {pin}: run make lock."


def test_every_python_that_is_supported_is_tested_and_named():
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()
    supported = [f"3.{minor}" for minor in range(int(low), int(high))]
    tested = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert tested == supported, f"test.yml tests {tested}, and pyproject.toml supports {supported}."
    for page in ("Makefile", "CONTRIBUTING.md", "README.md", "README.zh.md"):
        text = (ROOT / page).read_text()
        for version in (supported[0], supported[-1]):
            assert version in text, f"{page} does not name Python {version}."


WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_pins_its_actions_and_may_at_most_read(path):
    """A tag can be moved to other code; a commit cannot. What a job needs more, it says itself."""
    text = path.read_text()
    workflow = yaml.safe_load(text)
    assert set(workflow["permissions"].values()) <= {"read"}
    jobs = workflow["jobs"].values()
    used = [step["uses"] for job in jobs for step in job.get("steps", ()) if "uses" in step]
    used += [job["uses"] for job in jobs if "uses" in job]
    others = [action for action in used if not action.startswith("./")]
    assert others
    for action in others:
        assert re.fullmatch(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40}", action), action
        assert re.search(rf"{action} # v\d+\.\d+\.\d+$", text, re.M), action  # for people


def test_the_readmes_numbers_are_the_committed_runs():
    readme = (ROOT / "README.md").read_text()
    record = json.loads((ROOT / "results/tutorial/run.json").read_text())
    result = record["result"]
    row = next(line for line in readme.splitlines() if "this project" in line and "|" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:] == [
        f"{result['best_validation_error']:.2f} %",
        f"{result['best_iteration']:,}",
        f"{result['test_error']:.2f} %",
        f"{record['wall_seconds'] / 60:.2f} min",
    ]


def test_both_readmes_give_the_same_numbers():
    english, chinese = (
        sorted(
            found.replace(" ", "")
            for found in re.findall(r"\d[\d,.]*(?: ±| ?%| MB)", (ROOT / page).read_text())
        )
        for page in ("README.md", "README.zh.md")
    )
    assert english == chinese


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_readmes_spread_is_the_committed_runs(page):
    readme = (ROOT / page).read_text()
    for kind in ("rounding", "seed"):
        paths = list(ROOT.glob(f"results/spread/{kind}-*/run.json"))
        results = [json.loads(path.read_text())["result"] for path in paths]
        assert len(results) == 5
        for key in ("best_validation_error", "test_error"):
            errors = [result[key] for result in results]
            mean, deviation = statistics.mean(errors), statistics.stdev(errors)
            assert re.search(f"{mean:.2f} ± {deviation:.2f} ?%", readme)


@pytest.mark.parametrize("recipe", ["fast", "modern", "best", "committee"])
def test_the_readmes_studies_are_the_committed_runs(recipe):
    records = [json.loads(path.read_text()) for path in ROOT.glob(f"results/{recipe}/*/run.json")]
    assert len(records) == 5
    readme = (ROOT / "README.md").read_text()
    row = next(line for line in readme.splitlines() if line.startswith(f"| `{recipe}`"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    for cell, key in zip(cells[1:], ("best_validation_error", "test_error")):
        errors = [record["result"][key] for record in records]
        assert cell == f"{statistics.mean(errors):.2f} ± {statistics.stdev(errors):.2f} %"
    seconds = statistics.median(record["wall_seconds"] for record in records)
    time, unit = re.match(r"(\d+) (s|min)", cells[3]).groups()
    assert int(time) == round(seconds / {"s": 1, "min": 60}[unit])


def test_the_speeds_are_the_measured_ones():
    measured = (ROOT / "benchmarks/results/training.md").read_text()
    rows = [line.split("|")[1:] for line in measured.splitlines() if line.count("|") == 8]
    times = {tuple(cell.strip() for cell in row[1:3]): row for row in rows}
    readme = (ROOT / "benchmarks/README.md").read_text()
    lines = readme[re.search(r"median \| fastest \|", readme).end() :].splitlines()[2:9]
    assert len({tuple(cell.strip() for cell in line.split("|")[2:4]) for line in lines}) == 7
    for line in lines:
        assert tuple(cell.strip() for cell in line.split("|")[2:4]) in times, line
    (share,) = re.findall(r"(\d+) % of the rate of a large matrix product on", readme)
    ours = next(row for row in rows if row[0].strip() == "ours")
    assert ours[5].strip() == f"{share} %"


@pytest.mark.parametrize("page", ["docs/scale.md", "docs/zh/scale.md"])
def test_a_million_pictures_take_what_was_measured(page):
    bulk = (ROOT / "benchmarks/results/bulk.md").read_text()
    seconds = re.search(r"1,000,000 \| ([\d.]+) ", bulk)
    assert f" {float(seconds[1]):.0f} " in (ROOT / page).read_text()


def test_contributing_says_what_is_where():
    named = re.findall(
        r"^lenet_keras/(\w+(?:\.py|/)) ", (ROOT / "CONTRIBUTING.md").read_text(), re.M
    )
    package = ROOT / "lenet_keras"
    there = {path.name for path in package.glob("[a-z]*.py")}
    there |= {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert sorted(named) == sorted(there)


def test_the_readmes_model_sizes_are_the_files():
    readme = (ROOT / "README.md").read_text()
    for name in ("digit.onnx", "lenet5.onnx", "lenet5-int8.onnx", "lenet5-float.onnx"):
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{name}`"))
        size = (ROOT / "export" / name).stat().st_size
        assert row.split("|")[3].strip() == f"{size / 1e6:.2f} MB"


@pytest.mark.mnist
def test_the_readmes_model_errors_are_what_they_do(mnist):
    from lenet_keras.ship.parity import answers

    readme = (ROOT / "README.md").read_text()
    for name in ("digit.onnx", "lenet5.onnx", "lenet5-int8.onnx", "lenet5-float.onnx"):
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{name}`"))
        run = onnxruntime.InferenceSession(ROOT / "export" / name)
        _, labels = answers(run, mnist.test.images)
        # another processor may round a digit on the edge the other way
        error = 100 * float((labels != mnist.test.labels).mean())
        assert float(row.split("|")[4].split()[0]) == pytest.approx(error, abs=0.011)


FOLDERS = ("docs", "benchmarks", "export", "notebooks", "results")
PAGES = sorted(
    [*ROOT.glob("*.md"), *(path for name in FOLDERS for path in (ROOT / name).rglob("*.md"))]
)
NO_PAGES = {"node_modules", "model_card.md"}  # not ours; the card before it is filled in
PAGES = [path.relative_to(ROOT) for path in PAGES if not NO_PAGES & {*path.parts}]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_and_pictures_resolve(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        there = "://" in target or (ROOT / page).parent.joinpath(target).exists()
        assert there, f"{page} links to {target}: no such file."


def test_committed_text_names_no_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("needs the repository")
    paths = [
        ROOT / name for name in listed.stdout.splitlines() if not name.startswith("tests/test_")
    ]
    texts = [path for path in paths if b"\0" not in path.read_bytes()]
    assert ROOT / "README.md" in texts and ROOT / "results/tutorial/run.json" in texts
    for path in texts:
        found = re.search(
            r"(?<![\w.*-])/(work|root|home|tmp)/\S*", path.read_text(errors="replace")
        )
        assert not found, f"{path}: {found[0]}"


RUNS = [ROOT / "results/tutorial/run.json"]
for study in ("fast", "modern", "best"):
    RUNS += sorted(ROOT.glob(f"results/{study}/*/run.json"))


@pytest.mark.parametrize(
    "path", RUNS, ids=lambda path: f"{path.parent.parent.name}-{path.parent.name}"
)
def test_the_committed_runs_are_of_todays_recipes(path):
    kept = Recipe.from_dict(json.loads(path.read_text())["recipe"])
    today = replace(RECIPES[kept.name], seed=kept.seed)
    if today.precision == "auto":  # a run says which it took
        today = replace(today, precision=kept.precision)
    assert kept == today, (
        f"{kept.name} has changed: train it again (results/study.py says how), or put it back."
    )


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_readmes_list_the_course(page):
    from test_notebooks import COURSE

    text = (ROOT / page).read_text()
    for folder in ("notebooks/", "notebooks/zh/"):
        listed = re.findall(rf"^\| \d\d \|.*\]\({folder}(\w+)\.ipynb\)", text, re.M)
        assert listed == COURSE, f"the table of lessons in {page}"
