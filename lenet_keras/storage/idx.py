"""IDX, MNIST's own format: a magic number, the sizes, the bytes."""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path

import numpy as np

from lenet_keras.storage.reading import DataError, opened, refuse_if_too_large


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read one IDX file of bytes, plain or gzipped.

    Args:
        path: a file that starts with the magic number 0x00000801 (labels) or 0x00000803
            (images), then the sizes as big-endian int32, then the bytes.

    Returns:
        uint8 [N] for labels, uint8 [N, rows, columns] for images.

    Raises:
        DataError: the file is missing, empty, truncated, too long, or not IDX.
    """
    path = Path(path)
    with opened(path) as file:
        magic = file.read(4)
        if not magic:
            raise DataError(f"{path} is empty: get the file again.")
        if magic not in (b"\0\0\x08\x01", b"\0\0\x08\x03"):
            raise DataError(
                f"{path} is not an IDX file of bytes: it starts with 0x{magic.hex()}, "
                "where images have 0x00000803 and labels 0x00000801."
            )
        sizes = file.read(4 * magic[3])
        if len(sizes) < 4 * magic[3]:
            raise DataError(f"{path} ends inside its header: get the file again.")
        shape = struct.unpack(f">{magic[3]}I", sizes)
        size = math.prod(shape)
        refuse_if_too_large(path, size)
        body = file.read(size + 1)
    if len(body) != size:
        raise DataError(
            f"{path} is {'longer' if len(body) > size else 'shorter'} than its header says "
            f"({size:,} bytes for shape {shape}): get the file again."
        )
    return np.frombuffer(body, np.uint8).reshape(shape)


def idx_bytes(array: np.ndarray) -> bytes:
    """The IDX file that holds an array of bytes: the same data, whatever container it came in."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()
