"""Pictures in bulk: every one is answered once, whatever is killed when."""

import importlib.util
import io
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from pen import drawn
from PIL import Image

from lenet_keras import Classifier
from lenet_keras.cli import main
from lenet_keras.scale import bulk
from lenet_keras.scale.bulk import BulkError, classify_shard, shards_of

pa = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not there")


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def sources(digits, tmp_path_factory):
    """The same 40 digits as pictures, as an array and, in 4 row groups, as Parquet."""
    folder, images = tmp_path_factory.mktemp("bulk"), digits.test.images[:40]
    (folder / "pictures").mkdir()
    for i, image in enumerate(images):
        (folder / "pictures" / f"{i:02d}.png").write_bytes(png(image))
    (folder / "pictures" / "40.png").write_bytes(b"no picture")
    (folder / "pictures" / "notes.txt").write_text("not looked at")
    np.save(folder / "digits.npy", images)
    column = [{"bytes": png(image), "path": None} for image in images]
    parquet.write_table(pa.table({"image": column}), folder / "digits.parquet", row_group_size=10)
    return folder


def answers(folder: Path) -> list[dict]:
    rows = []
    for path in sorted(folder.glob("part-*.parquet")):
        rows += parquet.ParquetFile(path).read().to_pylist()
    return rows


def test_every_way_pictures_come_gives_the_same_answers(sources, digits, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "ARRAY_PICTURES", 15)
    shards = shards_of([sources])
    assert [(each.kind, each.start, each.stop) for each in shards] == [
        *(("npy", start, stop) for start, stop in ((0, 15), (15, 30), (30, 40))),
        *(("parquet", i, i + 1) for i in range(4)),
        ("files", 0, 0),
    ]
    assert [classify_shard(shard, tmp_path) for shard in shards] == [15, 15, 10, 10, 10, 10, 10, 41]
    rows = answers(tmp_path)
    array, table, files = rows[:40], rows[40:80], rows[80:]
    assert [row["path"] for row in array] == [f"{sources / 'digits.npy'}#{i}" for i in range(40)]
    assert [row["path"] for row in table] == [
        f"{sources / 'digits.parquet'}#{i}" for i in range(40)
    ]
    assert "40.png cannot be read: it is not a picture" in files[40]["error"]
    assert files[40]["label"] is files[40]["has_ink"] is files[40]["is_digit"] is None
    expected = Classifier(threads=1)(digits.test.images[:40])
    for some in (array, table, files[:40]):
        assert [row["label"] for row in some] == [answer.label for answer in expected]
        assert [row["is_digit"] for row in some] == [answer.is_digit for answer in expected]
        probabilities = [row["probability"] for row in some]
        assert probabilities == pytest.approx([a.probability for a in expected], abs=1e-6)
        assert all(row["has_ink"] and row["error"] is None for row in some)


def test_odd_names_and_columns_are_answered(digits, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    try:
        (folder / os.fsdecode(b"a\xff.png")).write_bytes(png(digits.test.images[0]))
    except OSError:
        (folder / "a.png").write_bytes(png(digits.test.images[0]))
    column = {"image": [png(digits.test.images[1])] * 2, "path": pa.array([7, None])}
    parquet.write_table(pa.table(column), folder / "numbers.parquet")
    for shard in shards_of([folder]):
        classify_shard(shard, tmp_path)
    rows = answers(tmp_path)
    assert [row["error"] for row in rows] == [None] * 3
    assert {"7", f"{folder / 'numbers.parquet'}#1"} < {row["path"] for row in rows}


def test_a_color_array_is_refused(tmp_path):
    np.save(tmp_path / "photo.npy", np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(BulkError, match="looks like one color picture"):
        shards_of([tmp_path / "photo.npy"])


def test_large_pictures_are_read_a_few_at_a_time(tmp_path, monkeypatch):
    np.save(tmp_path / "large.npy", np.full((9, 600, 700), 255, np.uint8))
    monkeypatch.setattr(bulk, "AT_ONCE", 1_000_000)
    sizes, copy = [], np.array
    monkeypatch.setattr(bulk.np, "array", lambda rows: sizes.append(len(rows)) or copy(rows))
    (shard,) = shards_of([tmp_path / "large.npy"])
    assert len(list(bulk.pictures_of(shard))) == 9 and max(sizes) == 2


DIRTY = """
import sys
from pathlib import Path
from lenet_keras.scale.bulk import classify_shard, shards_of
source, out = map(Path, sys.argv[1:])
print(sum(classify_shard(shard, out) for shard in shards_of([source])))
"""


def test_a_dirty_folder_is_answered_once_each_in_little_memory(digits, tmp_path, run_and_weigh):
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "deep" / "er").mkdir(parents=True)
    out.mkdir()
    good = png(digits.test.images[0])
    (source / "good.png").write_bytes(good)
    (source / "deep" / "er" / "GOOD.PNG").write_bytes(good)
    (source / "really a png.jpg").write_bytes(good)
    (source / "link.png").symlink_to(source / "good.png")
    (source / "loop").symlink_to(source)
    (source / "nowhere.png").symlink_to("nothing")
    (source / "folder.png").mkdir()
    os.mkfifo(source / "pipe.png")
    (source / "empty.png").write_bytes(b"")
    (source / "cut.png").write_bytes(good[: len(good) // 2])
    header = (50_000).to_bytes(4, "big") * 2
    crc = zlib.crc32(b"IHDR" + header + good[24:29]).to_bytes(4, "big")
    (source / "huge.png").write_bytes(good[:16] + header + good[24:29] + crc + good[33:])
    (source / "notes.txt").write_text("not a picture")
    np.save(source / "large.npy", np.full((60, 2048, 2048), 255, np.uint8))
    done, kib = run_and_weigh([sys.executable, "-c", DIRTY, str(source), str(out)])
    rows = answers(out)
    assert int(done.stdout) == len(rows) == len({row["path"] for row in rows}) == 7 + 60
    wrong = {Path(row["path"]).name for row in rows if row["error"]}
    assert wrong == {"empty.png", "cut.png", "huge.png"}
    assert kib < 1 << 20


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into every folder")
def test_a_folder_that_cannot_be_looked_into_is_a_sentence(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(BulkError, match="closed cannot be read"):
        shards_of([tmp_path])


@needs_ray
def test_other_content_under_the_same_names_is_not_passed_off_as_answered(digits, tmp_path, capsys):
    source = tmp_path / "in"
    source.mkdir()
    np.save(source / "a.npy", digits.test.images[:20])
    (source / "b.png").write_bytes(b"no picture")
    out = source / "out"  # within the source: its answers are no pictures
    arguments = ["classify", "--engine", "ray", "--out", str(out), str(source)]
    assert main(arguments) == 1 and "21 pictures" in (said := capsys.readouterr()).out
    assert "1 pictures could not be read" in said.err
    assert main(arguments) == 1 and "0 pictures" in capsys.readouterr().out
    table = parquet.read_table(out)
    assert len(table) == 21 and table["error"].null_count == 20
    np.save(source / "a.npy", digits.test.images[20:40])
    assert main(arguments) == 1 and "for other pictures" in capsys.readouterr().err


def test_a_blank_picture_has_no_label(tmp_path):
    np.save(tmp_path / "blank.npy", np.zeros((1, 28, 28), np.uint8))
    (shard,) = shards_of([tmp_path / "blank.npy"])
    assert classify_shard(shard, tmp_path) == 1
    (row,) = answers(tmp_path)
    assert row["label"] is row["probability"] is None
    assert row["has_ink"] is row["is_digit"] is False


def test_a_letter_has_a_best_guess_and_is_no_digit(tmp_path):
    np.save(tmp_path / "two.npy", np.stack([drawn("A"), drawn(3)]))
    (shard,) = shards_of([tmp_path / "two.npy"])
    classify_shard(shard, tmp_path)
    letter, three = answers(tmp_path)
    assert letter["has_ink"] and letter["is_digit"] is False and letter["label"] in range(10)
    assert three["is_digit"] is True and three["label"] == 3


def test_what_is_no_pictures_is_a_sentence(tmp_path, capsys):
    np.save(tmp_path / "floats.npy", np.zeros((3, 28, 28)))
    (tmp_path / "no.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "no.parquet").write_bytes(b"PAR1")
    parquet.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    (tmp_path / "empty").mkdir()
    for name, sentence in {
        "floats.npy": r"holds float64 \[3, 28, 28\], not uint8",
        "no.npy": "cannot be read as a NumPy array",
        "no.parquet": "cannot be read as Parquet",
        "other.parquet": "no column named image",
        "missing": "no such file or folder",
    }.items():
        with pytest.raises(BulkError, match=sentence):
            shards_of([tmp_path / name])
        arguments = ["classify", "--engine", "ray", "--out", str(tmp_path / "out")]
        assert main([*arguments, str(tmp_path / name)]) == 1
        err = capsys.readouterr().err
        assert err.startswith("lenet-keras: ") and err.count("\n") == 1
    assert main([*arguments, str(tmp_path / "empty")]) == 1
    assert "No pictures were found" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    for wrong in (["--engine", "ray", "a.png"], ["--out", "x", "a.png"]):
        with pytest.raises(SystemExit) as caught:
            main(["classify", *wrong])
        assert caught.value.code == 2


@needs_ray
def test_a_worker_is_killed_and_then_the_driver(digits, tmp_path, capsys):
    """Nothing is lost and nothing is doubled."""
    n = len(digits.train.images)
    np.save(tmp_path / "digits.npy", np.tile(digits.train.images, (10, 1, 1)))
    out = tmp_path / "out"
    arguments = ["classify", "--engine", "ray", "--out", str(out), str(tmp_path / "digits.npy")]
    code = (
        "import sys; from lenet_keras.scale import bulk; from lenet_keras.cli import main; "
        "bulk.ARRAY_PICTURES = 500; sys.exit(main())"
    )

    def parts():
        return len(list(out.glob("part-*")))

    process = subprocess.Popen([sys.executable, "-c", code, *arguments])
    workers = []
    try:
        while parts() < 3 or not workers:
            assert process.poll() is None
            workers = workers_of(process.pid)
            time.sleep(0.02)
        os.kill(workers[0], signal.SIGKILL)
        at_kill = parts()
        while parts() < at_kill + 5:
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    done, all_of_them = parts(), -(-10 * n // 500)
    assert at_kill < done < all_of_them
    again = [sys.executable, "-c", code, *arguments]
    finished = subprocess.run(again, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    rows = answers(out)
    paths = [f"{tmp_path / 'digits.npy'}#{i}" for i in range(10 * n)]
    assert [row["path"] for row in rows] == paths
    assert {path.name[:4] for path in out.iterdir()} == {"part", "_sha"}
    expected = [answer.label for answer in Classifier()(digits.train.images)]
    assert [row["label"] for row in rows] == 10 * expected
    assert main(arguments) == 1  # cut into other shards: other pictures, as far as it can tell
    assert "another model or for other pictures" in capsys.readouterr().err


def workers_of(pid: int) -> list[int]:
    """Ray's actors among the descendants of a process."""
    parents, found = {}, []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if b"MapWorker" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except (OSError, ValueError, IndexError):
            continue

    def descends(child: int) -> bool:
        while child in parents and child != pid:
            child = parents[child]
        return child == pid

    return [each for each in found if descends(each)]


def test_answers_of_another_model_are_not_mixed_in(sources, tmp_path, monkeypatch):
    def none(*_):
        raise BulkError("not run")

    monkeypatch.setattr(bulk, "need_ray", lambda: None)
    monkeypatch.setattr(bulk, "connected", none)
    own = Path(bulk.own_model())
    other = tmp_path / "other.onnx"
    other.write_bytes(b"\x12\x00" + own.read_bytes())  # an empty producer_name: the same network
    for model, sentence in ((None, "not run"), (own, "not run"), (other, "of another model")):
        with pytest.raises(BulkError, match=sentence):
            bulk.classify_in_bulk([sources / "digits.npy"], tmp_path / "out", model)


def test_a_strangers_files_are_a_sentence(tmp_path):
    images = np.zeros((2, 28, 28), np.uint8)
    np.savez(tmp_path / "archive", images)
    (tmp_path / "archive.npz").rename(tmp_path / "archive.npy")
    np.save(tmp_path / "wide.NPY", np.zeros((1, 5000, 2), np.uint8))
    (tmp_path / "wide.NPY.npy").rename(tmp_path / "wide.NPY")
    for column in (["a", "b"], [1, 2]):
        path = tmp_path / f"{type(column[0]).__name__}.parquet"
        parquet.write_table(pa.table({"image": column}), path)
    for name, sentence in {
        "archive.npy": "holds several arrays",
        "wide.NPY": "holds pictures of 5000 x 2",
        "str.parquet": "has string in its column image",
        "int.parquet": "has int64 in its column image",
    }.items():
        with pytest.raises(BulkError, match=sentence):
            shards_of([tmp_path / name])
