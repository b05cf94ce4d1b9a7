"""A full disk, a read-only folder, a missing file: a sentence, and the earlier file is unharmed."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lenet_keras import TUTORIAL, train
from lenet_keras.cli import main
from lenet_keras.ship.onnx_export import write_lenet5
from lenet_keras.storage.files import FileError, only_writer, whole_file, whole_files


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sentence(capsys):
    """What the command said, which is one line."""
    err = capsys.readouterr().err
    assert err.startswith("lenet-keras: ") and err.count("\n") == 1, err
    return err


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    recipe = replace(TUTORIAL, nkerns=(4, 6), n_hidden=20, batch_size=10, n_epochs=1)
    return train(recipe, digits, tmp_path_factory.mktemp("files") / "run")


@pytest.fixture
def unwritable(tmp_path):
    """A folder where nothing can be made; for root that takes a folder of the kernel's."""
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):
        folder = Path("/sys/kernel")
    if not folder.is_dir():
        pytest.skip("nothing is read-only here")
    return folder


def test_a_file_is_whole_or_as_it_was(tmp_path, full_disk):
    path = tmp_path / "file"

    def write_too_much():
        with full_disk(100), whole_file(path) as partial:
            partial.write_bytes(bytes(101))

    with pytest.raises(FileError, match=r"file could not be written \(File too large\)\.$"):
        write_too_much()
    assert not list(tmp_path.iterdir())
    path.write_bytes(b"good")
    with pytest.raises(FileError, match="what was there before is unharmed"):
        write_too_much()
    with pytest.raises(RuntimeError), whole_file(path) as partial:
        partial.write_bytes(b"half")
        raise RuntimeError
    assert contents(tmp_path) == {path: b"good"}
    with whole_file(path) as partial:
        partial.write_bytes(b"new")
    assert contents(tmp_path) == {path: b"new"}


@pytest.mark.parametrize("at", [0, 1, 2])
def test_several_files_are_written_all_or_none_to_the_last_rename(at, tmp_path, monkeypatch):
    old = {tmp_path / name: name.encode() for name in ("a", "c")}
    for path, content in old.items():
        path.write_bytes(content)
    new = {tmp_path / name: b"new" for name in ("a", "b", "c")}
    replace, renames = os.replace, []

    def failing(source, target):
        renames.append(target)
        if len(renames) == at + 1:
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(FileError, match="Permission denied"):
        whole_files(new)
    assert contents(tmp_path) == old
    monkeypatch.setattr(os, "replace", replace)
    whole_files(new)
    assert contents(tmp_path) == new


def test_a_folder_has_one_writer_until_it_is_killed(tmp_path):
    code = f"""
import time
from pathlib import Path
from lenet_keras.storage.files import only_writer
with only_writer(Path({str(tmp_path)!r})):
    print("in", flush=True)
    time.sleep(60)
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(FileError, match="Another process is writing into"):
            only_writer(tmp_path).__enter__()
    finally:
        other.kill()
        other.communicate()
    with only_writer(tmp_path):
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("n", [0, 40])  # of a history, whose first line is longer
def test_train_on_a_full_disk(n, tmp_path, full_disk, capsys):
    with full_disk(n):
        assert main(["train", "--data", "digits", "--out", str(tmp_path / "run")]) == 1
    said = sentence(capsys)
    assert str(tmp_path / "run") in said and "could not be written (File too large)" in said
    assert not list((tmp_path / "run").iterdir())


def test_train_into_a_read_only_folder(unwritable, tmp_path, capsys):
    assert main(["train", "--data", "digits", "--out", str(unwritable)]) == 1
    assert str(unwritable) in (said := sentence(capsys)) and "Permission denied" in said
    assert main(["train", "--data", "digits", "--out", str(unwritable / "new")]) == 1
    assert str(unwritable / "new") in sentence(capsys)


def test_the_runs_own_onnx_on_a_full_disk(run, full_disk):
    path = write_lenet5(run)
    before = path.read_bytes()
    with full_disk(100), pytest.raises(FileError, match="what was there before is unharmed"):
        write_lenet5(run)
    assert path.read_bytes() == before


def test_export_on_a_full_disk_or_into_a_read_only_folder(
    run, digits, tmp_path, unwritable, full_disk, capsys, monkeypatch
):
    monkeypatch.setattr("lenet_keras.ship.onnx_export.LARGEST_INT8_LOSS", 100)
    to, arguments = tmp_path / "to", ["export", str(run.folder), "--data", "digits", "--to"]
    assert main([*arguments, str(to)]) == 0
    before, _ = contents(to), capsys.readouterr()
    # the files, their digests, and three sets of vectors for each
    assert len(before) == 5 + 3 * (3 + 3 + 2 + 6)
    for path in before:  # so that any new one would show
        path.write_bytes(b"old")
    sizes = sorted(map(len, before.values()))
    # nothing fits, not even the quantizer's own files; the largest does not
    for n, file in ((100, "in TMPDIR"), (sizes[-1] - 1, "is unharmed")):
        with full_disk(n):
            assert main([*arguments, str(to)]) == 1
        said = sentence(capsys)
        assert "could not be written" in said and "(File too large)" in said and file in said
        assert contents(to) == dict.fromkeys(before, b"old")
    assert main([*arguments, str(unwritable / "new")]) == 1
    assert str(unwritable / "new") in sentence(capsys)


def test_export_of_no_finished_run(run, tmp_path, capsys):
    (tmp_path / "model.keras").write_bytes((run.folder / "model.keras").read_bytes())
    assert main(["export", str(tmp_path), "--to", str(tmp_path / "to"), "--data", "digits"]) == 1
    assert f"There is no {tmp_path / 'run.json'}: name the folder of a" in sentence(capsys)
    assert not (tmp_path / "to").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("how", [[], ["-u"]])  # at the end, or as it is printed
@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_classify_onto_a_full_disk_or_into_a_closed_pipe(how, form, tmp_path, digits):
    Image.fromarray(digits.test.images[0]).save(tmp_path / "a.png")
    command = [sys.executable, *how, "-m", "lenet_keras", "classify", tmp_path / "a.png", *form]
    process = {"stderr": subprocess.PIPE, "text": True}
    process["env"] = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, **process)
    said = "lenet-keras: the output cannot be read or written (No space left on device).\n"
    assert (done.returncode, done.stderr) == (1, said)

    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, **process)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
