"""A sweep's file says what to try; its trials are ordinary runs, whatever becomes of the driver."""

import contextlib
import csv
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from lenet_keras import TUTORIAL, train
from lenet_keras.cli import main
from lenet_keras.figures import parallel_coordinates
from lenet_keras.recipe import FAST, RECIPES
from lenet_keras.run import load_model
from lenet_keras.scale import sweep
from lenet_keras.scale.plan import SweepError, read_sweep, recipe_of
from lenet_keras.scale.sweep import name_of

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not there")

SMALL = """
data = "digits"
[fields]
nkerns = [[3, 4]]
n_hidden = [7]
"""


def read(tmp_path, text):
    (tmp_path / "sweep.toml").write_text(text)
    return read_sweep(tmp_path / "sweep.toml")


def test_a_grid_is_every_combination(tmp_path):
    asked = read(
        tmp_path,
        """
        recipe = "fast"
        data = ["mnist", "digits"]
        [fields]
        learning_rate = [0.1, 1]
        nkerns = [[20, 50], [4, 6], [1, 2]]
        """,
    )
    assert asked.recipe == FAST and not asked.asha and asked.threads == 1
    assert len(asked.trials) == 2 * 2 * 3 == len({json.dumps(each) for each in asked.trials})
    assert asked.trials[0] == {"data": "mnist", "learning_rate": 0.1, "nkerns": [20, 50]}
    assert asked.trials[-1] == {"data": "digits", "learning_rate": 1, "nkerns": [1, 2]}


def test_a_random_search_draws_within_its_ranges_and_the_same_every_time(tmp_path):
    text = """
        search = "random"
        trials = 300
        scheduler = "asha"
        [fields]
        learning_rate = { low = 1e-4, high = 1e-1, log = true }
        n_hidden = { low = 10, high = 500 }
        activation = ["tanh", "relu"]
        """
    asked = read(tmp_path, text)
    assert asked == read(tmp_path, text) and asked.asha and len(asked.trials) == 300
    assert asked.trials != read(tmp_path, "seed = 1\n" + text).trials
    rates = np.array([each["learning_rate"] for each in asked.trials])
    assert 1e-4 <= rates.min() < 2e-4 and 5e-2 < rates.max() <= 1e-1
    assert abs(np.mean(rates < 10**-2.5) - 0.5) < 0.1  # evenly in the logarithm
    hidden = {each["n_hidden"] for each in asked.trials}
    assert all(type(n) is int and 10 <= n <= 500 for n in hidden) and len(hidden) > 150
    assert {each["activation"] for each in asked.trials} == {"tanh", "relu"}
    few = 'search = "random"\ntrials = 50\n[fields]\nseed = [1, 2, 3]\n'
    assert len(read(tmp_path, few).trials) == 3  # none twice


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("fields = 1", "fields must be a table"),
        ("[fields", "is not valid TOML"),
        ("x = 1", "no setting 'x'"),
        ('recipe = "newest"', f"recipe must be one of {', '.join(RECIPES)}"),
        ('search = "random"', "trials must be"),
        ("trials = 3", "trials must be"),
        ("threads = 0", "threads must be a whole number"),
        ("data = []", "data must be what --data takes"),
        ("[fields]\nrate = [1]", "no field 'rate'"),
        ("[fields]\nname = ['a']", "name cannot be swept"),
        ("[fields]\nlearning_rate = 1", "learning_rate needs a list"),
        ("[fields]\nlearning_rate = ['high']", "must be a number above 0, not 'high'"),
        ("[fields]\nlearning_rate = [nan]", "learning_rate must be a number above 0, not nan"),
        ("[fields]\nn_hidden = [1.5]", "n_hidden must be a whole number"),
        ("[fields]\nn_hidden = [true]", "n_hidden must be a whole number"),
        ("[fields]\nnkerns = [20]", "nkerns must be two whole numbers"),
        ("[fields]\nn_hidden = {low = 1, high = 2}", 'needs search = "random"'),
        ("[fields]\nn_hidden = {low = 2, high = 1}", "the lower one first"),
        ("[fields]\nlearning_rate = {low = 0.0, high = 1.0, log = true}", "above 0"),
        ("[fields]\n'distortion.x' = [1.0]", "A distortion has no field 'x'"),
        ("[fields]\nlearning_rate = [-0.1]", "learning_rate must be a number above 0"),
        ("[fields]\nlearning_rate = [0.1, 0.0]", "learning_rate must be a number above 0"),
        ('[fields]\noptimizer = ["sgd", "adamw"]', "optimizer must be one of sgd, adam"),
        ("[fields]\nseed = [-1]", "seed must be a whole number from 0"),
        (f"[fields]\nn_hidden = [1{'0' * 400}]", "n_hidden must be a whole number"),
        (f"seed = 1{'0' * 400}", "seed must be"),
        (f"[fields]\nlearning_rate = [1{'0' * 400}]", "learning_rate must be a number above 0"),
        (f"[fields]\nseed = {list(range(200))}\nn_hidden = {list(range(1, 201))}", "10,000 trials"),
    ],
)
def test_what_no_sweep_can_do_is_a_sentence(text, sentence, tmp_path, capsys):
    with pytest.raises(SweepError) as caught:
        read(tmp_path, text)
    assert sentence in str(caught.value) and str(tmp_path) in str(caught.value)
    arguments = ["sweep", str(tmp_path / "sweep.toml"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert err.startswith("lenet-keras: ") and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


SOURCE = (
    b'recipe = "fast"\nsearch = "random"\ntrials = 3\n[fields]\nlearning_rate = '
    b'{ low = 1e-3, high = 0.1, log = true }\nn_hidden = [1, 20]\n"distortion.shift" = [1.0]\n'
)


@hypothesis.settings(
    max_examples=int(os.environ.get("LENET_KERAS_FUZZ", "100")), deadline=60_000, database=None
)
@hypothesis.given(
    st.binary(max_size=200)
    | st.tuples(st.integers(0, len(SOURCE)), st.integers(0, 9), st.binary(max_size=9)).map(
        lambda cut: SOURCE[: cut[0]] + cut[2] + SOURCE[cut[0] + cut[1] :]
    )
    | st.integers(1, 3000).map(lambda n: b"a = " + b"[" * n)
)
def test_any_bytes_are_a_sweep_or_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "sweep.toml"
    path.write_bytes(content)
    try:
        assert 1 <= len(read_sweep(path).trials) <= 10_000
    except SweepError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000


def test_lines_may_end_as_on_windows(tmp_path):
    (tmp_path / "unix.toml").write_bytes(SOURCE)
    (tmp_path / "windows.toml").write_bytes(SOURCE.replace(b"\n", b"\r\n"))
    assert read_sweep(tmp_path / "unix.toml") == read_sweep(tmp_path / "windows.toml")


def test_a_trial_whose_record_is_empty_has_failed(tmp_path, monkeypatch):
    (tmp_path / "sweep.toml").write_text(SMALL)
    asked = read_sweep(tmp_path / "sweep.toml")
    folder = tmp_path / "out" / "trials" / name_of(0, asked.trials[0])
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("")
    monkeypatch.setattr(sweep, "need_ray", lambda: None)
    monkeypatch.setattr(sweep, "connected", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(sweep, "_run_trials", lambda *_: {})
    (outcome,) = sweep.sweep(tmp_path / "sweep.toml", tmp_path / "out")
    assert outcome.status == "failed" and str(folder / "run.json") in outcome.why


def test_a_trials_recipe_and_name(digits):
    changes = {"data": "digits", "nkerns": [4, 6], "distortion.rotation": 5.0, "learning_rate": 0.2}
    recipe = recipe_of(FAST, changes, digits)
    assert recipe.nkerns == (4, 6) and recipe.learning_rate == 0.2 and recipe.batch_size == 10
    assert (recipe.distortion.rotation, recipe.distortion.shift) == (5.0, FAST.distortion.shift)
    assert recipe_of(TUTORIAL, {"distortion.shift": 1.0}, digits).distortion.shift == 1.0
    name = name_of(7, changes | {"data": "/a folder/mnist.npz"})
    assert name == "0007,data=mnist.npz,nkerns=4-6,distortion.rotation=5.0,learning_rate=0.2"
    assert len(name_of(7, {f"field {i}": 1 for i in range(100)})) == 100


def test_parallel_coordinates_draws_a_line_for_each(tmp_path):
    values = {"rate": [1e-4, 1e-1, 1e-2], "nkerns": [[1, 2], [3, 4], [1, 2]], "of": ["a", "b", "a"]}
    figure = parallel_coordinates(values, [3.0, 0.5, 9.0])
    figure.savefig(tmp_path / "a.png")
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == [*values, "validation error (%)"]
    drawn = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == 4]
    assert len(drawn) == 3 and drawn[-1][-1] == 0.0  # the best on top, at the foot of its axis


def test_without_ray_it_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "sweep.toml").write_text(SMALL)
    assert main(["sweep", str(tmp_path / "sweep.toml"), "--out", str(tmp_path / "out")]) == 1
    assert "pip install 'lenet-keras[ray]'" in capsys.readouterr().err


def test_where_nobody_answers_it_says_so(tmp_path, capsys):
    pytest.importorskip("ray")
    (tmp_path / "sweep.toml").write_text(SMALL)
    with socket.socket() as nobody:  # bound, and not listening
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        arguments = ["sweep", str(tmp_path / "sweep.toml"), "--out", str(tmp_path / "out")]
        assert main([*arguments, "--address", address]) == 1
    assert f"Nothing answers at {address}" in capsys.readouterr().err


@needs_ray
def test_killed_and_begun_again_every_trial_ends_as_if_it_had_been_alone(tmp_path, digits):
    """One of the three fails, which stops neither of the others."""
    out = tmp_path / "out"
    (tmp_path / "sweep.toml").write_text(SMALL + "learning_rate = [0.1, 1e30, 0.05]\n")
    command = [sys.executable, "-m", "lenet_keras", "sweep", tmp_path / "sweep.toml", "--out", out]
    rates = ("0.1", "1e_30", "0.05")
    names = [f"000{i},nkerns=3-4,n_hidden=7,learning_rate={rate}" for i, rate in enumerate(rates)]

    def begin():
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, **pipes)

    killed = begin()
    while not list((out / "trials").glob("*/checkpoint.npz")):  # in the middle of one
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (out / "results.csv").exists()

    done = begin()
    stdout, stderr = done.communicate()
    assert done.returncode == 1  # one failed
    assert f"{names[1]} failed: The cost was nan" in stderr and names[2] in stdout
    with open(out / "results.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["trial"], row["status"]) for row in rows] == [
        (names[0], "finished"),
        (names[1], "failed"),
        (names[2], "finished"),
    ]
    assert (out / "sweep.png").stat().st_size > 5000
    for number in (0, 2):
        recipe = recipe_of(TUTORIAL, read_sweep(out / "sweep.toml").trials[number], digits)
        alone = train(recipe, digits, tmp_path / str(number))
        folder = out / "trials" / names[number]
        swept = json.loads((folder / "run.json").read_text())
        assert swept["result"]["test_error"] == pytest.approx(
            alone.record.result.test_error,
            abs=0.6,  # another number of threads
        )
        assert float(rows[number]["test_error"]) == swept["result"]["test_error"]
        assert load_model(folder).count_params() == alone.model.count_params()

    (tmp_path / "sweep.toml").write_text(SMALL)
    with pytest.raises(SweepError, match="holds another sweep"):
        sweep.sweep(tmp_path / "sweep.toml", out)


def test_a_trial_whose_process_died_is_not_forgotten(tmp_path, monkeypatch):
    (tmp_path / "sweep.toml").write_text(SMALL + "learning_rate = [0.1, 0.05]\n")
    begun: list[list[int]] = []

    def die(asked, left, *_):
        begun.append(left)
        return {1: "Its process died."}

    monkeypatch.setattr(sweep, "need_ray", lambda: None)
    monkeypatch.setattr(sweep, "connected", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(sweep, "_run_trials", die)
    for _ in range(2):
        outcome = sweep.sweep(tmp_path / "sweep.toml", tmp_path / "out")[1]
        assert (outcome.status, outcome.why) == ("failed", "Its process died.")
    assert begun == [[0, 1], [1]]


@needs_ray
def test_asha_stops_the_hopeless_early(tmp_path, monkeypatch):
    fields = "n_epochs = [9]\nlearning_rate = [0.1, 1e-9, 1e-9, 1e-9]\nseed = [1]\n"
    (tmp_path / "sweep.toml").write_text('scheduler = "asha"\n' + SMALL + fields)
    outcomes = sweep.sweep(tmp_path / "sweep.toml", tmp_path / "out")
    best, *others = outcomes
    assert best.status == "finished" and best.epochs == 9 and best.best_validation_error < 50
    assert any(each.status == "stopped" and each.epochs < 9 for each in others)
    monkeypatch.delattr(sweep, "_run_trials")  # all is there already
    again = sweep.sweep(tmp_path / "sweep.toml", tmp_path / "out")
    assert [each.status for each in again] == [each.status for each in outcomes]


SPACED = """
import os
from lenet_keras.scale.cluster import connected
with connected(environment={"WORD": "heard"}) as ray:
    print(ray.get(ray.remote(lambda: os.environ["WORD"]).remote(), timeout=120))
"""


@needs_ray
def test_workers_start_where_pythons_path_has_a_space(tmp_path):
    if sys.prefix == sys.base_prefix:
        pytest.skip("needs a virtual environment")
    environment = tmp_path / "with a space"
    environment.symlink_to(sys.prefix)
    python = environment / "bin" / "python"
    command = [str(python), "-c", SPACED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout.strip() == "heard", done.stderr[-2000:]
