"""A training that was killed goes on as if nothing had been."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from lenet_keras import MODERN, TUTORIAL, train, training
from lenet_keras.cli import main
from lenet_keras.data import Split
from lenet_keras.run import RunError
from lenet_keras.run import folder as run_folder
from lenet_keras.run.checkpoint import Checkpoint, CheckpointError
from lenet_keras.storage.files import FileError, only_writer

# Of every kind of state some: moments, chance of three sorts, averages, patience. The tutorial's
# recipe validates in the middle of an epoch here, and patience ends it.
SMALL = {"nkerns": (3, 4), "n_hidden": 7}
RECIPES = {
    "tutorial": replace(
        TUTORIAL, batch_size=10, n_epochs=40, patience=30, improvement_threshold=0.9, **SMALL
    ),
    "modern": replace(MODERN, batch_size=50, n_epochs=5, averaged=2, **SMALL),
    "best": replace(MODERN, batch_size=50, n_epochs=4, averaged=2, penned=30, others=20, **SMALL),
}
KILLS = int(os.environ.get("LENET_KERAS_KILLS", 4))


@pytest.fixture(scope="module")
def few(digits):
    def part(split, n):
        return Split(split.images[:n], split.labels[:n])

    return replace(
        digits,
        train=part(digits.train, 200),
        valid=part(digits.valid, 50),
        test=part(digits.test, 50),
    )


@pytest.fixture(scope="module", params=RECIPES)
def whole(request, few, tmp_path_factory):
    """A training that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole") / request.param
    run = train(RECIPES[request.param], few, folder)
    assert run.record.stopped_by_patience == (request.param == "tutorial")
    return RECIPES[request.param], run


def history(folder):
    """Everything in history.csv but how long it took."""
    with open(folder / "history.csv") as file:
        return [{**row, "seconds": None} for row in csv.DictReader(file)]


def same(one, other):
    """Whether two runs ended with the same bits, and got there the same way."""
    weights = zip(one.model.get_weights(), other.model.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in weights)
    assert history(one.folder) == history(other.folder)
    for key in ("result", "epochs", "iterations", "stopped_by_patience", "recipe"):
        assert getattr(one.record, key) == getattr(other.record, key)
    names = [{path.name for path in run.folder.iterdir()} for run in (one, other)]
    assert names[0] == names[1] and "checkpoint.npz" not in names[0]
    return True


class Killed(BaseException):
    """Not an Exception: nothing may catch it, as nothing catches kill -9."""


def dying(function, *when):
    """The function, which kills at the calls of these numbers, counted over all attempts."""
    calls = 0

    def deadly(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls in when:
            raise Killed
        return function(*args, **kwargs)

    return deadly


@pytest.mark.parametrize("at", ["zero_one_loss", "save before", "save after", "model.keras"])
def test_killed_here_and_there_and_resumed(whole, few, tmp_path, monkeypatch, at):
    recipe, run = whole
    save = Checkpoint.save
    if at == "zero_one_loss":  # validations and tests: in the middle of an epoch, and at its end
        deadly = dying(training.zero_one_loss, 2, 5, 6)
        monkeypatch.setattr(training, "zero_one_loss", deadly)
    elif at == "save before":
        monkeypatch.setattr(Checkpoint, "save", dying(save, 1, 3, 5))
    elif at == "save after":
        after = dying(lambda *_: None, 1, 2, 4)
        monkeypatch.setattr(Checkpoint, "save", lambda *a: (save(*a), after()))
    else:  # all is trained, and not all is written
        monkeypatch.setattr(run_folder, "learning_curve", dying(run_folder.learning_curve, 1))
    folder, deaths = tmp_path / "run", 0
    while True:
        try:
            resumed = train(recipe, few, folder, resume=True)
            break
        except Killed:
            deaths += 1
    assert deaths == 1 if at == "model.keras" else deaths >= 1
    assert same(resumed, run)


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from test_checkpoint import RECIPES
from lenet_keras import load_mnist, train
from lenet_keras.data import Split
from dataclasses import replace
digits = load_mnist("digits")
train(replace(RECIPES["modern"], n_epochs=40), digits, sys.argv[1], resume=True)
print("finished", flush=True)
"""


def test_kill_9_at_any_moment(digits, tmp_path):
    recipe = replace(RECIPES["modern"], n_epochs=40)
    run = train(recipe, digits, tmp_path / "whole")
    chance, folder, kills = random.Random(1), tmp_path / "killed", 0
    script = KILLED.format(tests=os.path.dirname(__file__))
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", script, folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        if kills < KILLS:
            for line in process.stdout:
                if line.startswith("epoch "):
                    break
            time.sleep(chance.uniform(0, 6 / KILLS))
            process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == 0:
            break
        kills += 1
        assert process.returncode == -signal.SIGKILL
        for name in ("history.csv", "run.json", "checkpoint.npz"):  # whole, or not there
            if (folder / name).exists() and name == "checkpoint.npz":
                Checkpoint.load(folder / name)
            elif (folder / name).exists() and name == "run.json":
                json.loads((folder / name).read_text())
            elif (folder / name).exists():
                assert (folder / name).read_text().endswith("\n")
    print(f"killed {kills} times")
    assert kills >= min(3, KILLS)
    assert same(train(recipe, digits, folder, resume=True), run)


def test_what_cannot_go_on_is_refused_with_a_sentence(few, tmp_path, monkeypatch, capsys):
    recipe, folder = RECIPES["modern"], tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(training, "zero_one_loss", dying(training.zero_one_loss, 4))
        with pytest.raises(Killed):
            train(recipe, few, folder)
    before = (folder / "checkpoint.npz").read_bytes()
    with pytest.raises(RunError, match=r"did not finish: resume it \(--resume\)"):
        train(recipe, few, folder)
    with pytest.raises(RunError, match=r"another training \(learning_rate, seed differ\)"):
        train(replace(recipe, seed=1, learning_rate=0.1), few, folder, resume=True)
    other = replace(few, test=few.valid)
    with pytest.raises(RunError, match=r"another training \(the data differ\)"):
        train(recipe, other, folder, resume=True)
    with only_writer(folder), pytest.raises(FileError, match="Another process is writing"):
        train(recipe, few, folder, resume=True)
    assert (folder / "checkpoint.npz").read_bytes() == before
    whole = Checkpoint.load(folder / "checkpoint.npz")
    for change, sentence in (
        ({"state": replace(whole.state, variables=whole.state.variables[:-1])}, "other variables"),
        ({"versions": whole.versions | {"keras": "3.0.0"}}, "was written with keras 3.0.0"),
    ):
        replace(whole, **change).save(folder / "checkpoint.npz")
        with pytest.raises(CheckpointError, match=sentence):
            train(recipe, few, folder, resume=True)
    (folder / "checkpoint.npz").write_bytes(before[:1000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        train(recipe, few, folder, resume=True)
    assert main(["train", "--data", "digits", "--out", str(folder), "--resume"]) == 1
    assert "Traceback" not in capsys.readouterr().err
    with pytest.raises(SystemExit) as wrong_usage:
        main(["train", "--resume"])
    assert wrong_usage.value.code == 2 and "--resume needs --out" in capsys.readouterr().err


def test_a_finished_training_is_returned_as_it_is(whole, few, capsys):
    recipe, run = whole
    before = {path: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    again = train(recipe, few, run.folder, resume=True)
    assert "already holds this training, finished" in capsys.readouterr().out
    assert same(again, run)
    assert {path: path.stat().st_mtime_ns for path in run.folder.iterdir()} == before


def test_nothing_is_left_of_a_process_that_was_killed_as_it_wrote(few, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".partial-99999-checkpoint.npz").write_bytes(b"half")
    train(RECIPES["modern"], few, folder, resume=True)
    assert not list(folder.glob(".partial-*"))


def test_a_full_disk_is_a_sentence_and_training_goes_on_when_there_is_room(
    tmp_path, full_disk, capsys
):
    """The history fits, the first checkpoint does not."""
    folder = tmp_path / "run"
    arguments = ["train", "--data", "digits", "--epochs", "2", "--resume", "--out", str(folder)]
    with full_disk(200_000):
        assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{folder / 'checkpoint.npz'} could not be written (File too large)" in line
    assert [path.name for path in folder.iterdir()] == ["history.csv"]
    assert main(arguments) == 0
    assert (folder / "run.json").exists() and not (folder / "checkpoint.npz").exists()


def test_a_folder_that_cannot_be_one_is_a_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("good")
    assert main(["train", "--data", "digits", "--out", str(tmp_path / "file")]) == 1
    said = f"lenet-keras: {tmp_path / 'file'} cannot be read or written (File exists)."
    assert capsys.readouterr().err.splitlines()[-1] == said
    assert (tmp_path / "file").read_text() == "good"
