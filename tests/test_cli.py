"""The command, as a person types it."""

import json
import os
import pty
import subprocess
import sys

import pytest

from lenet_keras.cli import main


def command(*arguments, **environment):
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from lenet_keras.cli import main; sys.exit(main())",
            *arguments,
        ],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    done = command("train", "--data", "digits", "--epochs", "2", "--out", str(folder))
    assert done.returncode == 0, done.stderr
    return folder, done


def test_train_says_what_it_did_and_nothing_else(run):
    folder, done = run
    assert "embedded digits (not MNIST)" in done.stdout
    assert f"Everything is in {folder}: model.keras" in done.stdout
    error = json.loads((folder / "run.json").read_text())["result"]["test_error"]
    assert f"Test error {error:.2f} %: {100 - error:.2f} % of the 397 held-out" in done.stdout
    # not a word from TensorFlow, no progress bar in a log
    assert done.stderr.splitlines() == [
        line for line in done.stderr.splitlines() if "ran for" in line
    ]
    assert "\r" not in done.stdout and "\x1b" not in done.stdout


def test_a_terminal_gets_keras_progress_bar(tmp_path):
    seen = bytearray()

    def read(descriptor):
        seen.extend(chunk := os.read(descriptor, 4096))
        return chunk

    code = "import sys; from lenet_keras.cli import main; sys.exit(main())"
    arguments = ["train", "--data", "digits", "--epochs", "2", "--out", str(tmp_path / "run")]
    status = pty.spawn([sys.executable, "-c", code, *arguments], read, lambda _: b"")
    text = seen.decode()
    assert status == 0 and "Epoch 1/2" in text and "102/102" in text and "━" in text
    assert "\nepoch 1, minibatch 102/102, validation error" in text.replace("\r\x1b[K", "\n")


def test_evaluate(run, capsys):
    folder, _ = run
    recorded = json.loads((folder / "run.json").read_text())
    assert main(["evaluate", str(folder), "--data", "digits", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["test_error"] == recorded["result"]["test_error"]
    assert printed["validation_error"] == recorded["result"]["best_validation_error"]
    assert printed["data"]["digest"] == recorded["data"]["digest"]

    assert main(["evaluate", str(folder / "model.keras"), "--data", "digits"]) == 0
    out = capsys.readouterr().out
    wrong = round(printed["test_error"] * 397 / 100)
    assert f"test error {printed['test_error']:.2f} % ({wrong} of 397 digits)" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "--data", "nowhere"], "There is no data at nowhere"),
        (["evaluate", "nowhere", "--data", "digits"], "There is no model at nowhere"),
    ],
)
def test_a_failure_is_one_sentence_and_exit_code_1(arguments, sentence, capsys):
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert err.startswith("lenet-keras: ") and sentence in err and len(err.splitlines()) == 1


def test_a_finished_run_is_not_overwritten(run, capsys):
    folder, _ = run
    assert main(["train", "--data", "digits", "--out", str(folder)]) == 1
    assert "already holds a finished run" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["train", "--data", "digits", "--out", str(tmp_path / "file" / "run")]) == 1
    err = capsys.readouterr().err
    assert "Not a directory" in err and str(tmp_path / "file") in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["train", "--epochs", "0"],
        ["train", "--epochs", "many"],
        ["train", "--seed", "-1"],
        ["train", "--recipe", "soup"],
        ["train", "--precision", "float8"],
        ["evaluate"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: lenet-keras" in capsys.readouterr().err


def test_help_is_helpful_and_quick(capsys):
    for arguments in (["--help"], ["train", "--help"], ["evaluate", "--help"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
    assert "LENET_KERAS_DATA" in capsys.readouterr().out
    # help must not wait for TensorFlow
    code = "import sys, lenet_keras.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
