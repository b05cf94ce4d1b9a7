"""Files that are whole or absent, and folders that have one writer."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from lenet_keras.errors import LenetKerasError

__all__ = ["FileError", "only_writer", "whole_file"]


class FileError(LenetKerasError):
    """A file cannot be written, or somebody else is writing there."""


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name to write to, which becomes ``path`` only when all is on the disk.

    Raises:
        FileError: the disk is full, the folder is read-only...; what stood at ``path`` still does.
    """
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        with open(partial, "r+b") as file:
            os.fsync(file.fileno())  # a name must not outlive a power cut without its content
        os.replace(partial, path)
    except OSError as error:
        kept = "; what was there before is unharmed" if os.path.exists(path) else ""
        raise FileError(
            f"{path} could not be written ({error.strerror or error}){kept}."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def only_writer(folder: Path, wait: float = 0.0) -> Iterator[None]:
    """Keep other processes that ask for the same out of a folder, which must be there.

    The operating system lets go when the process ends, however it ends, and nothing stays
    behind. Where there is no such lock (Windows, some network drives) this does nothing.

    Args:
        folder: where.
        wait: so many seconds, if somebody else has it.

    Raises:
        FileError: somebody else has it.
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
