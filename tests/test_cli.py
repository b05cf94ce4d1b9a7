"""The command, as a person types it."""

import contextlib
import csv
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
from pen import drawn
from PIL import Image

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


def test_a_terminal_gets_a_progress_bar(tmp_path):
    terminal, end = pty.openpty()
    code = "import sys; from lenet_keras.cli import main; sys.exit(main())"
    arguments = ["train", "--data", "digits", "--epochs", "2", "--out", str(tmp_path / "run")]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=end, stderr=end)
    os.close(end)
    seen = bytearray()
    with contextlib.suppress(OSError):  # how a terminal says that nobody writes to it any more
        while chunk := os.read(terminal, 4096):
            seen += chunk
    os.close(terminal)
    text = seen.decode()
    assert process.wait() == 0 and "epoch 1 of 2, cost" in text and "━" in text
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", text).replace("\r", "\n").splitlines()
    assert any(line.startswith("epoch 1, minibatch 102/102, validation error") for line in lines)


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


def test_train_ends_with_its_own_onnx_and_a_digit_read_from_it(run, digits):
    folder, done = run
    session = onnxruntime.InferenceSession(folder / "lenet5.onnx")
    (label,) = session.run(["label"], {"images": digits.test.images[:1]})
    assert f"reads this held-out digit from lenet5.onnx as {label[0]} " in done.stdout
    assert f"it is a {digits.test.labels[0]}." in done.stdout
    drawn = [line for line in done.stdout.splitlines() if set(line) & set("░▒▓█")]
    assert 5 <= len(drawn) <= 14 and max(map(len, drawn)) <= 28


def test_export(run, tmp_path, capsys):
    folder, _ = run
    assert main(["export", str(folder), "--to", str(tmp_path / "to"), "--data", "digits"]) == 0
    out = capsys.readouterr().out
    for name in ("lenet5.onnx", "lenet5-int8.onnx", "lenet5-float.onnx", "digit.onnx"):
        size = (tmp_path / "to" / name).stat().st_size
        assert re.search(rf"{name} +{size:,} +\S+e-\d\d +\d+ +\d+\.\d\d %", out)
    assert main(["export", "nowhere", "--to", str(tmp_path), "--data", "digits"]) == 1
    assert "There is no model at nowhere" in capsys.readouterr().err


@pytest.fixture
def pictures(tmp_path, digits):
    """A folder of a seven, a zero on white, a blank, a broken file and a note."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    seven, zero = (digits.test.images[list(digits.test.labels).index(n)] for n in (7, 0))
    Image.fromarray(seven).save(folder / "a.png")
    Image.fromarray(255 - zero).resize((300, 300)).save(folder / "b.jpg")
    Image.new("L", (30, 20), 255).save(folder / "c.png")
    (folder / "d.png").write_text("no picture")
    (folder / "notes.txt").write_text("not read")
    return folder


def test_classify(pictures, capsys):
    assert main(["classify", str(pictures / "a.png"), str(pictures / "b.jpg")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        [str(pictures / "a.png"), "7"],
        [str(pictures / "b.jpg"), "0"],
    ]


def test_classify_a_folder_reports_what_it_cannot_read_and_goes_on(pictures, capsys):
    assert main(["classify", str(pictures), "--json"]) == 1
    printed = capsys.readouterr()
    rows = json.loads(printed.out)
    assert [Path(row["file"]).name for row in rows] == ["a.png", "b.jpg", "c.png"]
    assert [row["label"] for row in rows] == [7, 0, None]
    assert [row["has_ink"] for row in rows] == [True, True, False]
    assert [row["is_digit"] for row in rows] == [True, True, False]
    assert abs(sum(rows[0]["probabilities"]) - 1) < 1e-5
    assert printed.err == (
        f"lenet-keras: {pictures / 'd.png'} cannot be read: it is not a picture, or not in one of "
        "the formats PNG, JPEG, GIF, BMP, PPM, TIFF, WEBP, AVIF, JPEG2000, TGA.\n"
    )
    assert [row["probability"] is None for row in rows] == [False, False, True]

    assert main(["classify", str(pictures), "--csv"]) == 1
    rows = list(csv.reader(capsys.readouterr().out.splitlines()))
    assert rows[0] == ["file", "label", "probability", "is_digit"]
    assert [row[1] for row in rows[1:]] == ["7", "0", ""]
    assert [row[3] for row in rows[1:]] == ["true", "true", "false"]

    assert main(["classify", str(pictures / "c.png")]) == 0
    assert capsys.readouterr().out.split()[-1] == "blank"


def test_classify_what_is_not_like_any_digit(tmp_path, capsys):
    file = str(tmp_path / "letter.png")
    Image.fromarray(drawn("A")).save(file)
    assert main(["classify", file, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["has_ink"] and row["is_digit"] is False and row["label"] in range(10)
    assert main(["classify", file, "--csv"]) == 0
    _, of_csv = csv.reader(capsys.readouterr().out.splitlines())
    assert of_csv == [file, str(row["label"]), f"{row['probability']:.6f}", "false"]
    assert main(["classify", file]) == 0
    said = capsys.readouterr().out.split()
    assert said[:2] == [file, "?"]  # a script that takes the next word gets no digit
    assert f"{row['label']}," in said and f"{100 * row['probability']:.1f}" in said


def test_a_folder_without_pictures(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("7")
    assert main(["classify", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"lenet-keras: {tmp_path} holds no pictures.\n"


def test_classify_standard_input_loads_nothing_that_it_does_not_need(pictures):
    """A cold shell waits for every package that is imported: for TensorFlow, seconds."""
    code = (
        "import sys; from lenet_keras.cli import main; code = main()\n"
        "slow = {'keras', 'tensorflow', 'matplotlib', 'sklearn', 'ray', 'scipy'}\n"
        "print(sorted(slow & set(sys.modules))); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "classify", "-"],
        input=(pictures / "a.png").read_bytes(),
        capture_output=True,
    )
    answer, loaded = done.stdout.decode().splitlines()
    assert done.returncode == 0 and answer.split()[:2] == ["-", "7"]
    assert loaded == "[]"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "--data", "nowhere"], "There is no data at nowhere"),
        (["classify", "nowhere.png"], "nowhere.png cannot be read: No such file"),
        (["classify", "x.png", "--model", "nowhere"], "nowhere cannot be read: No such file"),
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
        ["export", "run"],
        ["classify"],
        ["classify", "a.png", "--json", "--csv"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: lenet-keras" in capsys.readouterr().err


def test_help_is_helpful_and_quick(capsys):
    for arguments in (["--help"], ["export", "--help"], ["train", "--help"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
    assert "LENET_KERAS_DATA" in capsys.readouterr().out
    # help must not wait for TensorFlow
    code = "import sys, lenet_keras.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
