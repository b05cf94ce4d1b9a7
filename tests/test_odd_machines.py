"""The command on odd machines and in clumsy hands: an answer or a sentence, never a traceback."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "lenet_keras"]


def run(*arguments, shell="", cwd=None, **environment):
    """The command in an environment; None takes a variable away, ``shell`` comes behind it."""
    env = {k: v for k, v in (os.environ | environment).items() if v is not None}
    env["PYTHONPATH"] = str(ROOT)
    command = [*COMMAND, *map(str, arguments)]
    if shell:
        command = ["sh", "-c", f'exec "$@" {shell}', "sh", *command]
    done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, timeout=300)
    assert b"Traceback" not in done.stderr and b"Traceback" not in done.stdout, done.stderr.decode()
    return done


@pytest.fixture(scope="module")
def seven(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("seven") / "7.png"
    Image.fromarray(digits.test.images[list(digits.test.labels).index(7)]).save(path)
    return path


TRAIN = ("train", "--data", "digits", "--epochs", "1", "--out")


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "cp1252", "HOME": None, "XDG_CONFIG_HOME": None},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOME": "/nonexistent"},
    ],
    ids=str,
)
def test_train_and_classify_anywhere(environment, seven, tmp_path):
    done = run(*TRAIN, tmp_path / "run", **environment)
    assert done.returncode == 0, done.stderr
    assert b"onnxruntime reads this held-out digit" in done.stdout
    done = run("classify", seven, **environment)
    assert done.returncode == 0 and done.stdout.split()[1] == b"7" and not done.stderr


def test_a_users_own_keras_settings_change_nothing(tmp_path):
    config = {"image_data_format": "channels_first", "floatx": "float64"}
    (tmp_path / "keras.json").write_text(json.dumps(config))
    weights = []
    for number, home in enumerate((None, str(tmp_path))):
        done = run(*TRAIN, tmp_path / f"run-{number}", KERAS_HOME=home)
        assert done.returncode == 0, done.stderr
        weights.append((tmp_path / f"run-{number}" / "lenet5.onnx").read_bytes())
    assert weights[0] == weights[1]


@pytest.mark.parametrize("shell", [">&-", "2>&-", ">&- 2>&-", "<&-"])
def test_closed_streams(shell, seven):
    done = run("classify", seven, shell=shell)
    assert done.returncode == 0
    assert run("classify", "nowhere.png", shell=shell).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "code"),
    [
        (("train", "--epochs", "9" * 20), {}, 2),
        (("train", "--seed", "-1"), {}, 2),
        (("train", "--data", "~nosuchuser/x"), {}, 1),
        (("evaluate", "x", "--data", "digits"), {"KERAS_BACKEND": "bogus"}, 1),
        (("train", "--data", "digits"), {"KERAS_BACKEND": "bogus"}, 1),
        (("classify", "x\x1b[31m.png"), {}, 1),
        (("classify", b"x\xff.png".decode(errors="surrogateescape")), {}, 1),
    ],
    ids=lambda value: str(value[:3]) if isinstance(value, tuple) else "",
)
def test_wrong_input_is_a_sentence(arguments, environment, code, tmp_path):
    done = run(*arguments, cwd=tmp_path, **environment)
    assert done.returncode == code
    assert done.stderr.splitlines()[-1].startswith(b"lenet-keras")
    assert b"\x1b" not in done.stderr  # a terminal would obey
    assert code == 2 or done.stderr.count(b"\n") == 1


def test_names_that_are_no_utf8_are_read_and_printed(seven, tmp_path):
    name = os.path.join(os.fsencode(tmp_path), b"seven\xff\x1b[31m.png")
    try:
        Path(os.fsdecode(name)).write_bytes(seven.read_bytes())
    except OSError:
        pytest.skip("this file system wants UTF-8")
    for form in ((), ("--csv",), ("--json",)):
        done = run("classify", tmp_path, *form)
        assert done.returncode == 0 and not done.stderr
        assert form or b"\x1b" not in done.stdout


def test_ctrl_c_while_libraries_are_loaded_is_a_sentence(seven):
    for delay in (0.02, 0.1, 0.2):
        process = subprocess.Popen(
            [*COMMAND, "train", "--data", "digits", "--out", os.devnull],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        time.sleep(delay)  # whenever it comes, it must not be a traceback of ours
        process.send_signal(signal.SIGINT)
        error = process.communicate()[1]
        ours = b"lenet_keras/cli.py" in error or b"lenet_keras/run" in error
        assert not (b"Traceback" in error and ours), error.decode()


def test_answers_come_as_they_are_made(seven, tmp_path):
    """Interrupted at any moment, every answer that was made has been printed."""
    content = seven.read_bytes()
    for i in range(int(os.environ.get("LENET_KERAS_FILES", "6000"))):
        (tmp_path / f"{i:05d}.png").write_bytes(content)
    process = subprocess.Popen(
        [*COMMAND, "classify", str(tmp_path), "--csv"],
        env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
        | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    first = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    rest, error = process.stdout.read(), process.stderr.read()
    process.wait()
    lines = [*first, *rest.splitlines(keepends=True)]
    assert process.returncode in (0, 130) and "Traceback" not in error
    assert lines[0] == "file,label,probability,is_digit\n"
    assert len(lines) > 80  # a pipe's buffer, and more
    names = [Path(line.split(",")[0]).name for line in lines[1:]]
    assert names == sorted(path.name for path in tmp_path.iterdir())[: len(names)]
    assert all(line.endswith("\n") and line.count(",") == 3 for line in lines)


def test_standard_input_without_end_is_refused():
    with open("/dev/zero", "rb") as endless:
        done = subprocess.run(
            [*COMMAND, "classify", "-"],
            stdin=endless,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            preexec_fn=lambda: _limit_memory(4 << 30),
        )
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1 and b"too large" in done.stderr


def _limit_memory(n: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (n, n))


def test_pipes_and_folders_in_a_folder_are_not_pictures(seven, tmp_path):
    (tmp_path / "7.png").write_bytes(seven.read_bytes())
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "nowhere.png").symlink_to("nothing")
    done = run("classify", tmp_path)
    assert done.returncode == 0 and done.stdout.count(b"\n") == 1


@pytest.mark.parametrize(
    "kind", ["16 bits", "16 bits, values of 8", "32 bits", "float of 0 to 1", "float of 0 to 255"]
)
def test_pictures_of_more_than_8_bits(kind, seven):
    pixels = np.asarray(Image.open(seven)).astype(np.float32)
    image = {
        "16 bits": lambda: Image.fromarray((pixels * 257).astype(np.uint16)),
        "16 bits, values of 8": lambda: Image.fromarray(pixels.astype(np.uint16)),
        "32 bits": lambda: Image.fromarray((pixels * 2**22).astype(np.int32)),
        "float of 0 to 1": lambda: Image.fromarray(pixels / 255),
        "float of 0 to 255": lambda: Image.fromarray(pixels),
    }[kind]()
    file = io.BytesIO()
    image.save(file, "TIFF")
    file.seek(0)
    from lenet_keras import Classifier

    assert Classifier()(file).label == Classifier()(seven).label == 7
