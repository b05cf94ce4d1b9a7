"""Digits out of millions of pictures, on Ray Data: folders, Parquet or NumPy files in, Parquet out.

The pictures are cut into shards. A worker reads one shard, a few pictures at a time, and its
answers become one Parquet file, which appears whole or not at all. So nothing is lost or counted
twice, whichever process is killed: a shard without its file is read again.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import io
import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lenet_keras.errors import LenetKerasError, in_short
from lenet_keras.progress import progress_bar
from lenet_keras.scale.cluster import connected, need_ray
from lenet_keras.ship.classifier import (
    LONGEST_SIDE,
    Answer,
    Classifier,
    ClassifyError,
    Picture,
    own_model,
    picture_endings,
    pictures_in,
    refuse_color,
)
from lenet_keras.storage.files import only_writer, whole_file

__all__ = ["BulkError", "Shard", "classify_in_bulk", "shards_of"]

PICTURE_FILES = 2_000  # in a shard: seconds of work
ARRAY_PICTURES = 50_000
AT_ONCE = 1 << 24  # bytes of a NumPy file's pictures in memory


class BulkError(LenetKerasError):
    """A source of pictures cannot be read, or the folder holds other answers."""


@dataclass(frozen=True)
class Shard:
    """What one worker reads at a time, for one file of answers.

    kind: "files" (pictures), "npy" (rows of an array) or "parquet" (a row group).
    source: of "files" the names, else the one file.
    start, stop: the rows of an array; of Parquet the row group, once.
    """

    number: int
    kind: str
    source: tuple[str, ...]
    start: int = 0
    stop: int = 0


def shards_of(sources: Sequence[str | os.PathLike[str]], out: Path | None = None) -> list[Shard]:
    """Cut pictures into shards, the same ones every time; what is below ``out`` is left out.

    Args:
        sources: picture files; folders, of which every picture, .npy and .parquet file is taken,
            in order of name; ``.npy`` files, uint8 [N, H, W]; ``.parquet`` files with a column
            ``image`` of encoded pictures (PNG and the like; bytes, or a struct with ``bytes``).

    Raises:
        BulkError: a file is missing, or its name says NumPy or Parquet and it holds no pictures.
            (A picture that cannot be read does not fail: its answer is an error.)
    """
    shards: list[Shard] = []
    pictures: list[str] = []

    def cut(kind: str, source: Sequence[str], start: int = 0, stop: int = 0) -> None:
        shards.append(Shard(len(shards), kind, tuple(source), start, stop))

    for source in sources:
        path = Path(source).resolve()
        if not path.exists():
            raise BulkError(f"{source} cannot be read: there is no such file or folder.")
        files = [path]
        if path.is_dir():
            try:
                found = pictures_in(path, {*picture_endings(), ".npy", ".parquet"})
            except ClassifyError as error:
                raise BulkError(str(error)) from None
            files = [file for file in found if out is None or out not in file.parents]
        for file in files:
            if file.suffix.lower() == ".npy":
                rows = len(_array(file))
                for start in range(0, rows, ARRAY_PICTURES):
                    cut("npy", [str(file)], start, min(rows, start + ARRAY_PICTURES))
            elif file.suffix.lower() == ".parquet":
                for group in range(_parquet(file).num_row_groups):
                    cut("parquet", [str(file)], group, group + 1)
            else:
                pictures.append(str(file))
    for i in range(0, len(pictures), PICTURE_FILES):
        cut("files", pictures[i : i + PICTURE_FILES])
    return shards


def _array(path: Path) -> np.ndarray:
    """A NumPy file of pictures; its content is not read yet."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged file can raise anything
        raise BulkError(f"{path} cannot be read as a NumPy array ({in_short(error)}).") from None
    if not isinstance(array, np.ndarray):  # np.load opens archives of arrays too
        raise BulkError(f"{path} holds several arrays, not one: uint8 [N, H, W].")
    if array.dtype != np.uint8 or array.ndim != 3:
        raise BulkError(f"{path} holds {array.dtype} {list(array.shape)}, not uint8 [N, H, W].")
    try:
        refuse_color(array.shape)
    except ClassifyError as error:
        raise BulkError(f"{path}: {error}") from None
    if not 1 <= min(array.shape[1:]) <= max(array.shape[1:]) <= LONGEST_SIDE:
        raise BulkError(
            f"{path} holds pictures of {array.shape[1]} x {array.shape[2]} pixels: sides of 1 to "
            f"{LONGEST_SIDE:,} can be read."
        )
    return array


def _parquet(path: Path) -> Any:
    from pyarrow import parquet, types

    try:
        file = parquet.ParquetFile(path)
    except Exception as error:
        raise BulkError(f"{path} cannot be read as Parquet ({in_short(error)}).") from None
    if "image" not in file.schema_arrow.names:
        raise BulkError(f"{path} has no column named image.")
    kind = file.schema_arrow.field("image").type
    if types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if not (types.is_binary(kind) or types.is_large_binary(kind)):
        raise BulkError(f"{path} has {kind} in its column image, not encoded pictures.")
    return file


def pictures_of(shard: Shard) -> Iterator[tuple[str, Picture]]:
    """A shard's pictures, one after the other, each with its name."""
    if shard.kind == "files":
        for name in shard.source:
            yield name, name
        return
    (source,) = shard.source
    if shard.kind == "npy":
        array = _array(Path(source))
        step = max(1, AT_ONCE // array[0].size)
        for start in range(shard.start, shard.stop, step):
            rows = np.array(array[start : min(start + step, shard.stop)])  # a copy, in memory
            for i, picture in enumerate(rows, start):
                yield f"{source}#{i}", picture
        return
    file, row = _parquet(Path(source)), 0
    for group in range(shard.start):
        row += file.metadata.row_group(group).num_rows
    columns = [name for name in ("image", "path") if name in file.schema_arrow.names]
    for batch in file.iter_batches(100, [shard.start], columns):
        for each in batch.to_pylist():
            image = each["image"]["bytes"] if isinstance(each["image"], dict) else each["image"]
            path = each.get("path")
            yield f"{source}#{row}" if path is None else str(path), io.BytesIO(image or b"")
            row += 1


@functools.cache
def _classifier(model: str | None) -> Classifier:
    return Classifier(model, threads=1)  # the other cores have workers of their own


def classify_shard(shard: Shard, out: Path, model: str | None = None) -> int:
    """Write a shard's file of answers, and return how many they are."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = []
    for path, answer in _classifier(model).each(pictures_of(shard)):
        row: dict[str, Any] = dict.fromkeys(SCHEMA) | {"path": _utf8(path)}
        if isinstance(answer, Answer):
            row |= {name: getattr(answer, name) for name in ("label", "has_ink", "is_digit")}
            row["probability"] = answer.probability if answer.has_ink else None
        else:
            row["error"] = _utf8(str(answer))
        rows.append(row)
    schema = pa.schema({name: pa.type_for_alias(kind) for name, kind in SCHEMA.items()})
    with whole_file(_answers_of(out, shard)) as partial:
        parquet.write_table(pa.Table.from_pylist(rows, schema=schema), partial)
    return len(rows)


def _utf8(name: str) -> str:
    """Parquet's strings are UTF-8; a file's name may be any bytes, the odd ones become \\xff."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


class Worker:
    """One of Ray's: the model stays in its memory from shard to shard."""

    def __call__(self, tasks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        counts = []
        for task in map(json.loads, tasks["task"]):
            counts.append(classify_shard(Shard(**task["shard"]), Path(task["out"]), task["model"]))
        return {"pictures": np.array(counts)}


SCHEMA = {
    "path": "string",
    "label": "int8",
    "probability": "float32",
    "has_ink": "bool",
    "is_digit": "bool",
    "error": "string",
}


def _answers_of(out: Path, shard: Shard) -> Path:
    return out / f"part-{shard.number:06d}.parquet"


def classify_in_bulk(
    sources: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    model: str | os.PathLike[str] | None = None,
    address: str = "",
) -> tuple[int, int]:
    """Classify any number of pictures, with a worker on every core, in constant memory.

    Args:
        sources: what ``shards_of`` takes.
        out: a folder for the answers, ``part-000000.parquet`` and so on, with the columns path
            (of an array's picture ``file.npy#row``), label (0 to 9), probability, has_ink,
            is_digit, and error, a sentence where a picture cannot be read; null where a column
            does not apply. If it holds answers for the same pictures already, those are kept.
        model: another ``digit.onnx``.
        address: of a Ray cluster whose machines all see the files; without it Ray is started on
            this machine, and ended at the end.

    Returns:
        How many pictures were answered now, and how many of all answers are errors.

    Raises:
        BulkError: a source cannot be read, or the folder holds answers of another model or for
            other pictures.
        ClusterError: Ray is missing, does not start, or does not answer at the address.
        ClassifyError: the model cannot be used.
        FileError: a file cannot be written, or another process is writing there.
    """
    need_ray()
    model = str(Path(model).resolve()) if model is not None else None
    Classifier(model)
    out = Path(out).resolve()
    shards = shards_of(sources, out)
    if not shards:
        raise BulkError("No pictures were found there.")
    out.mkdir(parents=True, exist_ok=True)
    with only_writer(out):
        digest = hashlib.sha256(Path(model or own_model()).read_bytes()).hexdigest()
        files = {name: _stamp(name) for shard in shards for name in shard.source}
        parts = [asdict(shard) for shard in shards]
        plan = json.dumps({"model": digest, "shards": parts, "files": files})
        before = out / "_shards.json"  # what reads a folder of Parquet passes over such names
        if before.exists() and before.read_text(encoding="utf-8") != plan:
            raise BulkError(
                f"{out} holds answers of another model or for other pictures: choose another "
                "folder."
            )
        with whole_file(before) as partial:
            partial.write_text(plan, encoding="utf-8")
        left = [shard for shard in shards if not _answers_of(out, shard).exists()]
        done = 0
        try:
            if left:
                with connected(address) as ray:
                    done = _run(ray, left, out, model)
        finally:
            for partial in out.glob(".partial-*"):  # of workers that were killed
                partial.unlink(missing_ok=True)
        return done, sum(_errors_in(_answers_of(out, shard)) for shard in shards)


def _stamp(name: str) -> list[int]:
    """Size and time of a file: other content under the same name is another picture."""
    try:
        about = os.stat(name)
    except OSError:  # gone, or a link to nowhere: its answer will be an error
        return [-1, -1]
    return [about.st_size, about.st_mtime_ns]


def _errors_in(answers: Path) -> int:
    from pyarrow import parquet

    column = parquet.read_table(answers, columns=["error"])["error"]
    return len(column) - column.null_count


def _run(ray: Any, left: list[Shard], out: Path, model: str | None) -> int:
    importlib.import_module("ray.data")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    workers = max(1, min(len(left), int(ray.cluster_resources().get("CPU", 1))))
    tasks = [
        {"task": json.dumps({"shard": asdict(shard), "out": str(out), "model": model})}
        for shard in left
    ]
    answers = ray.data.from_items(tasks, override_num_blocks=len(left)).map_batches(
        Worker, batch_size=1, compute=ray.data.ActorPoolStrategy(size=workers)
    )
    done = 0
    with progress_bar(len(left)) as advance:
        for row in answers.iter_rows():
            done += int(row["pictures"])
            advance(note=f"{done:,} pictures")
    return done
