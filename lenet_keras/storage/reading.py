"""What the readers of MNIST's containers have in common: an error, a limit, and gzip."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from lenet_keras.errors import LenetKerasError

# MNIST's pixels as the tutorial pickles them, in float32, are 220 MB: nothing larger is unpacked.
LARGEST = 1 << 28


class DataError(LenetKerasError):
    """A data file is missing, damaged, or not what it should be."""


def refuse_if_too_large(path: Path, size: int) -> None:
    """Raise a DataError where a file says that it holds more bytes than MNIST can have."""
    if size > LARGEST:
        raise DataError(f"{path} says it holds {size:,} bytes: no MNIST file is so large.")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file to read from, unpacked if it is gzipped.

    Raises:
        DataError: it cannot be read, or its gzip is damaged; both while it is opened and later.
    """
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else open(path, "rb") as file:
            yield cast(BinaryIO, file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged or cut short ({error}): get the file again.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None


def read_whole(path: Path) -> bytes:
    """All of a file, unpacked if it is gzipped.

    Raises:
        DataError: it cannot be read, is damaged, empty, or larger than MNIST can be.
    """
    with opened(path) as file:
        size = path.stat().st_size
        if isinstance(file, gzip.GzipFile):  # its last four bytes tell, if they are true
            with open(path, "rb") as raw:
                raw.seek(max(0, size - 4))
                size = int.from_bytes(raw.read(4), "little")
        refuse_if_too_large(path, size)
        data = file.read(LARGEST + 1)
    refuse_if_too_large(path, len(data))
    if not data:
        raise DataError(f"{path} is empty: get the file again.")
    return data
