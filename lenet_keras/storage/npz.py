"""``.npz``, NumPy's own container: a zip archive of arrays, as Keras keeps MNIST."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lenet_keras.errors import in_short
from lenet_keras.storage.reading import DataError, refuse_if_too_large


def read_npz(path: Path, names: Sequence[str]) -> list[np.ndarray]:
    """Read these arrays from an ``.npz``.

    Args:
        path: the archive.
        names: what the arrays are called in it.

    Returns:
        The arrays, in the order of ``names``; never arrays of Python objects.

    Raises:
        DataError: the file is missing, damaged or too large, or an array is not in it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_if_too_large(path, sum(each.file_size for each in archive.infolist()))
        with np.load(path, allow_pickle=False) as file:
            for name in names:
                if name not in file:
                    raise DataError(f"{path} has no array named {name}: is it MNIST's .npz?")
            return [file[name] for name in names]
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except Exception as error:  # a damaged archive can raise anything
        raise DataError(f"{path} cannot be read as an .npz ({in_short(error)}).") from None
