"""The network as C, built and run here, and on a Cortex-M4 where QEMU has one."""

import ctypes
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

EXPORT = Path(__file__).parent.parent / "export"
C = EXPORT / "c"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
M4 = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", *STRICT, "-Os"]


def compiled(compiler: str, *arguments: object) -> None:
    if not shutil.which(compiler):
        pytest.skip(f"needs {compiler}")
    done = subprocess.run(
        [compiler, *map(str, arguments)], cwd=C, capture_output=True, text=True, check=False
    )
    if "rdimon.specs" in done.stderr:
        pytest.skip("needs newlib for ARM (Debian's libnewlib-arm-none-eabi)")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def test_data() -> tuple[np.ndarray, np.ndarray]:
    """The pictures of lenet5-int8's test_data, uint8 [N, 28, 28], and its probabilities."""
    folders = sorted((EXPORT / "test_data" / "lenet5-int8").iterdir())
    images, probabilities = (
        np.concatenate([numpy_helper.to_array(onnx.load_tensor(f / name)) for f in folders])
        for name in ("input_0.pb", "output_0.pb")
    )
    return images, probabilities


@pytest.fixture(scope="module")
def pgms(test_data, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pgm")
    for i, image in enumerate(test_data[0]):
        (folder / f"{i:02}.pgm").write_bytes(b"P5\n28 28\n255\n" + image.tobytes())
    return sorted(folder.iterdir())


def assert_is(answer: str, probabilities: np.ndarray) -> None:
    rows = [line.split() for line in answer.splitlines()]
    assert [int(row[1]) for row in rows] == probabilities.argmax(axis=1).tolist()
    said = np.array([row[2:] for row in rows], float)
    np.testing.assert_allclose(said, probabilities, atol=1e-5)


def test_the_weights_are_the_files(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("weights", C / "weights.py")
    weights = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(weights)
    (tmp_path / "c").mkdir()
    shutil.copy(EXPORT / "lenet5-int8.onnx", tmp_path)
    monkeypatch.setattr(weights, "HERE", tmp_path / "c")
    weights.main()
    made = (tmp_path / "c/weights.h").read_text()
    assert made == (C / "weights.h").read_text(), "run export/c/weights.py again"


def test_it_reads_digits_from_files(test_data, pgms, tmp_path):
    compiled("gcc", *STRICT, "-O2", "lenet5.c", "main.c", "-lm", "-o", tmp_path / "lenet5")
    done = subprocess.run([tmp_path / "lenet5", *pgms], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr
    assert_is(done.stdout, test_data[1])
    bad = {"cut": b"P5 28 28 255\n" + bytes(783), "wide": b"P5 56 14 255\n" + bytes(784)}
    bad |= {"deep": b"P5 28 28 65535\n" + bytes(1568), "none": b""}
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        command = [tmp_path / "lenet5", tmp_path / name, pgms[0]]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1 and done.stdout.startswith(str(pgms[0]))  # the rest go on
        assert done.stderr == f"{tmp_path / name} is no binary PGM of 28x28 pixels, 0 to 255.\n"
    for arguments, code, why in ((["nowhere"], 1, "nowhere cannot be opened."), ([], 2, "Usage: ")):
        done = subprocess.run([tmp_path / "lenet5", *arguments], capture_output=True, text=True)
        assert done.returncode == code and done.stderr.startswith(why) and not done.stdout


@pytest.mark.mnist
def test_its_labels_are_onnxruntimes(mnist, tmp_path):
    compiled("gcc", *STRICT, "-O3", "-shared", "-fPIC", "lenet5.c", "-lm", "-o", tmp_path / "so")
    lenet5 = ctypes.CDLL(str(tmp_path / "so")).lenet5
    images = np.ascontiguousarray(mnist.test.images[:2_000])
    probabilities = np.zeros((len(images), 10), np.float32)
    labels = [
        lenet5(ctypes.c_void_p(image.ctypes.data), ctypes.c_void_p(row.ctypes.data))
        for image, row in zip(images, probabilities)
    ]
    session = onnxruntime.InferenceSession(EXPORT / "lenet5-int8.onnx")
    expected, theirs = session.run(["probabilities", "label"], {"images": images})
    assert labels == theirs.tolist()
    apart = np.abs(probabilities - expected).max(axis=1)
    # a byte on the edge may be rounded the other way
    assert apart.max() < 0.01 and (apart > 1e-5).sum() <= 5


def test_it_fits_a_small_machine(tmp_path):
    compiled("arm-none-eabi-gcc", *M4, "-c", "lenet5.c", "-o", tmp_path / "lenet5.o")
    size = subprocess.run(
        ["arm-none-eabi-size", tmp_path / "lenet5.o"], capture_output=True, text=True, check=True
    )
    text, data, bss = map(int, size.stdout.splitlines()[1].split()[:3])
    said = (C / "README.md").read_text()
    flash, ram = re.search(r"(\d+) kB of flash and ([\d.]+) kB", said).groups()
    assert (text + data) / 1000 == pytest.approx(float(flash), abs=1)
    assert (data + bss) / 1000 == pytest.approx(float(ram), abs=0.1)


def test_it_runs_on_one(test_data, pgms, tmp_path):
    if not shutil.which("qemu-system-arm"):
        pytest.skip("needs qemu-system-arm")
    elf = tmp_path / "lenet5.elf"
    sources = ("start.c", "lenet5.c", "main.c", "-T", "mps2.ld", "--specs=rdimon.specs", "-lm")
    compiled("arm-none-eabi-gcc", *M4, *sources, "-o", elf)
    # by their bare names: newlib keeps little room for a command
    arguments = ",".join(f"arg={each}" for each in ("lenet5", *(pgm.name for pgm in pgms)))
    qemu = ["qemu-system-arm", "-M", "mps2-an386", "-nographic", "-kernel", elf]
    semihosting = ["-semihosting-config", f"enable=on,target=native,{arguments}"]
    done = subprocess.run(
        [*qemu, *semihosting],
        cwd=pgms[0].parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert_is(done.stdout, test_data[1])
