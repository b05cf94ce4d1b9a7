"""Files that are whole or absent, and folders that have one writer."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from lenet_keras.errors import LenetKerasError

__all__ = ["FileError", "only_writer", "whole_file", "whole_files"]


class FileError(LenetKerasError):
    """A file cannot be written, or another process is writing there."""


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name to write to, which becomes ``path`` only when all is on the disk.

    Raises:
        FileError: the disk is full, the folder is read-only...; what stood at ``path`` still does.
    """
    partial = _beside(path, "partial")
    try:
        with _failure_named(path):
            yield partial
            _to_disk(partial)
            os.replace(partial, path)
    finally:
        _remove(partial)


def whole_files(contents: Mapping[Path, bytes]) -> None:
    """Write several files: all of them or, if one fails, none. Folders are made as needed.

    Raises:
        FileError: one cannot be written; what stood at every name still does.
    """
    before = {path: _beside(path, "before") for path in contents if path.exists()}
    replaced: list[Path] = []
    try:
        for path, content in contents.items():
            with _failure_named(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                _beside(path, "partial").write_bytes(content)
                _to_disk(_beside(path, "partial"))
                if path in before:
                    shutil.copyfile(path, before[path])
        for path in contents:
            with _failure_named(path):
                os.replace(_beside(path, "partial"), path)
                replaced.append(path)
    except BaseException:
        for path in replaced:
            os.replace(before[path], path) if path in before else _remove(path)
        raise
    finally:
        for path in contents:
            _remove(_beside(path, "partial"))
            _remove(_beside(path, "before"))


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f".{what}-{os.getpid()}-{path.name}")


def _to_disk(path: Path) -> None:
    with open(path, "r+b") as file:
        os.fsync(file.fileno())  # a name must not outlive a power cut without its content


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _failure_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kept = "; what was there before is unharmed" if os.path.exists(path) else ""
        raise FileError(
            f"{path} could not be written ({error.strerror or error}){kept}."
        ) from error


@contextlib.contextmanager
def only_writer(folder: Path, wait: float = 0.0) -> Iterator[None]:
    """Lock a folder, which must exist, against other processes that do the same.

    The operating system releases the lock when the process ends, however it ends, and nothing
    stays behind. Where there is no such lock (Windows, some network drives) this does nothing.

    Args:
        folder: where.
        wait: for so many seconds, if another process has the lock.

    Raises:
        FileError: another process has it.
        OSError: there is no such folder.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        until = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise FileError(
                        f"Another process is writing into {folder}: wait for it, or choose "
                        "another folder."
                    ) from None
                time.sleep(0.1)
            except OSError:
                break
        yield
    finally:
        os.close(handle)
