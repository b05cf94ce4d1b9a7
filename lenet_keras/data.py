"""MNIST, from wherever you have it, as bytes and integers.

The tutorial reads ``mnist.pkl.gz``: three pairs (images, labels) of 50,000
training, 10,000 validation and 10,000 test digits, where the validation digits
are the last 10,000 of MNIST's 60,000 training digits. Its pixels are
``pixel / 256`` as float32 in rows of 784. Here they stay the bytes they were,
a quarter of the memory, and the model's first layer divides by 256.

    >>> mnist = load_mnist()
    >>> mnist.train.images.shape, mnist.train.labels.shape
    ((50000, 28, 28), (50000,))

Whatever the container, the pixels and labels are compared with the published
digests of MNIST before anybody sees them.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import pickletools
import struct
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lenet_keras.errors import LenetKerasError, in_short

__all__ = ["DataError", "Mnist", "Split", "load_mnist", "read_idx"]


class DataError(LenetKerasError):
    """A data file is missing, damaged, or not what it should be."""


class Split(NamedTuple):
    """Digits and what they are.

    images: uint8 [N, 28, 28], 0 is paper and 255 is ink.
    labels: int64 [N], 0 to 9.
    """

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Mnist:
    """Three splits, and which data they are.

    name: "mnist", or "digits" for the embedded fallback, which is not MNIST.
    source: where it was read from, for people.
    """

    train: Split
    valid: Split
    test: Split
    name: str
    source: str

    @property
    def digest(self) -> str:
        """SHA-256 over the IDX bytes of train, valid and test: the same data, the same digest."""
        sha = hashlib.sha256()
        for split in (self.train, self.valid, self.test):
            sha.update(_idx_bytes(split.images))
            sha.update(_idx_bytes(split.labels))
        return sha.hexdigest()


# The published files. A digest is of the whole uncompressed IDX file, so that
# `gunzip -c train-images-idx3-ubyte.gz | sha256sum` is all it takes to check ours.
IDX_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
IDX_LENGTH = {"train": 60_000, "t10k": 10_000}
IDX_SHAPE = {"images": (28, 28), "labels": ()}
N_VALID = 10_000  # the last of the training file, as in the tutorial
# MNIST's pixels as the tutorial pickles them, in float32, are 220 MB: nothing larger is unpacked.
LARGEST = 1 << 28
MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"

NOT_MNIST = (
    "its content is not MNIST's (the SHA-256 of the pixels or labels differs from the "
    "published one): get the file again."
)


def load_mnist(source: str | os.PathLike[str] = "auto") -> Mnist:
    """Load MNIST, or the embedded digits where there is no MNIST.

    Args:
        source: one of
            ``"auto"``: ``$LENET_KERAS_DATA`` if set (any of the below), else ``"mnist"``,
            else ``"digits"`` with a warning that says what was tried;
            ``"mnist"``: Keras's own download and cache, or a mirror;
            ``"digits"``: scikit-learn's 1,797 real handwritten digits, no network needed;
            the path of a folder with the four IDX files (plain or .gz), of an ``mnist.npz``
            as Keras keeps it, or of the tutorial's own ``mnist.pkl.gz``.

    Returns:
        ``Mnist``: MNIST split 50,000 / 10,000 / 10,000, or digits split by writer.

    Raises:
        DataError: what was wrong, with which file, and what to do, in a sentence.
    """
    source = os.fspath(source)
    if source == "auto":
        source = os.environ.get("LENET_KERAS_DATA") or "auto"
    if source == "auto":
        try:
            return _download_mnist()
        except DataError as error:
            warnings.warn(
                f"{error} Going on with scikit-learn's 1,797 embedded digits: they are real "
                "handwriting but not MNIST, and their errors cannot be compared with the "
                "tutorial's. To use MNIST, set LENET_KERAS_DATA to a folder or file that has it.",
                stacklevel=2,
            )
            return _load_digits()
    if source == "mnist":
        return _download_mnist()
    if source == "digits":
        return _load_digits()

    path = Path(source).expanduser()
    if path.is_dir():
        return _from_idx_folder(path)
    if not path.exists():
        raise DataError(
            f"There is no data at {path}: name a folder with the four MNIST files, an mnist.npz, "
            "an mnist.pkl.gz, or one of the words auto, mnist, digits."
        )
    if path.suffix == ".npz":
        return _from_npz(path)
    if path.name.endswith((".pkl", ".pkl.gz", ".pickle")):
        return _from_pickle(path)
    raise DataError(
        f"{path} is neither a folder of IDX files nor an .npz nor a .pkl.gz: "
        "those are the ways MNIST comes."
    )


# --- IDX: MNIST's own format -------------------------------------------------------------


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read one IDX file of bytes, plain or gzipped.

    Args:
        path: a file that starts with the magic number 0x00000801 (labels) or 0x00000803
            (images), then the sizes as big-endian int32, then the bytes.

    Returns:
        uint8 [N] for labels, uint8 [N, rows, columns] for images.

    Raises:
        DataError: the file is empty, truncated, too long, or not IDX.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else open(path, "rb") as file:
            magic = file.read(4)
            if not magic:
                raise DataError(f"{path} is empty: get the file again.")
            if len(magic) < 4 or magic[:3] != b"\0\0\x08" or magic[3] not in (1, 3):
                raise DataError(
                    f"{path} is not an IDX file of bytes: it starts with 0x{magic.hex()}, "
                    "where images have 0x00000803 and labels 0x00000801."
                )
            header = file.read(4 * magic[3])
            if len(header) < 4 * magic[3]:
                raise DataError(f"{path} ends inside its header: get the file again.")
            shape = struct.unpack(f">{magic[3]}I", header)
            size = int(np.prod(shape, dtype=object))
            _refuse_if_too_large(path, size)
            body = file.read(size + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged or cut short ({error}): get the file again.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
    if len(body) != size:
        raise DataError(
            f"{path} is {'longer' if len(body) > size else 'shorter'} than its header says "
            f"({size:,} bytes for shape {shape}): get the file again."
        )
    return np.frombuffer(body, np.uint8).reshape(shape)


def _idx_bytes(array: np.ndarray) -> bytes:
    """The IDX file that holds this array, so that any container can be checked by one digest."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def _from_idx_folder(folder: Path) -> Mnist:
    arrays, names = {}, {}
    for key in IDX_SHA256:
        found = next((p for p in (folder / key, folder / f"{key}.gz") if p.exists()), None)
        if found is None:
            raise DataError(
                f"{folder} holds neither {key} nor {key}.gz: all four MNIST files must be there."
            )
        names[key], arrays[key] = found, read_idx(found)
    return _checked(arrays, names, source="IDX files")


def _refuse_if_too_large(path: Path, size: int) -> None:
    """Before anything is unpacked: what a file says it holds may be no more than MNIST can be."""
    if size > LARGEST:
        raise DataError(f"{path} says it holds {size:,} bytes: no MNIST file is so large.")


# --- npz and pickle ----------------------------------------------------------------------


def _from_npz(path: Path) -> Mnist:
    keys = dict(zip(IDX_SHA256, ("x_train", "y_train", "x_test", "y_test")))
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(f"{path} is a single array: an mnist.npz holds four.")
            assert file.zip  # it is open
            _refuse_if_too_large(path, sum(each.file_size for each in file.zip.infolist()))
            missing = [key for key in keys.values() if key not in file]
            if missing:
                raise DataError(
                    f"{path} has no array named {missing[0]}: an mnist.npz holds "
                    "x_train, y_train, x_test and y_test."
                )
            arrays = {name: file[key] for name, key in keys.items()}
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except Exception as error:  # a damaged archive can raise anything
        raise DataError(f"{path} cannot be read as an .npz ({in_short(error)}).") from None
    return _checked(arrays, dict.fromkeys(keys, path), source=path.name)


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles NumPy arrays and nothing else: a pickle is a program, and we run none."""

    _ADMITTED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),  # how Python 3 writes bytes for a Python 2 reader
            *((core + ".multiarray", "_reconstruct") for core in ("numpy.core", "numpy._core")),
            *((core + ".numeric", "_frombuffer") for core in ("numpy.core", "numpy._core")),
        }
    )

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self._ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")
        if name == "encode":
            return _latin1
        if module.startswith("numpy.core"):  # renamed in NumPy 2
            module = module.replace("numpy.core", "numpy._core")
        found = super().find_class(module, name)
        # a pickle may set attributes of what it is given: not NumPy's own function's
        return (lambda *arguments: found(*arguments)) if name == "_frombuffer" else found


def _latin1(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):  # others can take for ever
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding}, which no array needs")
    return text.encode("latin1")


def _refuse_if_no_few_arrays(data: bytes) -> None:
    """The tutorial's six arrays take some hundred steps, and remember less than as many values.

    A few bytes of another pickle can ask for gigabytes of memory slots.
    """
    for n, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if n > 10_000 or ("PUT" in opcode.name and int(argument or 0) > 10_000):
            raise pickle.UnpicklingError("it is no pickle of a few arrays")


def _from_pickle(path: Path) -> Mnist:
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            end = file.seek(0, io.SEEK_END)
            if packed:  # the last four bytes say how long it is unpacked, if they are true
                file.seek(-4, io.SEEK_END)
            _refuse_if_too_large(path, int.from_bytes(file.read(), "little") if packed else end)
        with gzip.open(path) if packed else open(path, "rb") as file:
            data = file.read(LARGEST + 1)
        _refuse_if_too_large(path, len(data))
        if not data:
            raise DataError(f"{path} is empty: get the file again.")
        _refuse_if_no_few_arrays(data)
        # latin1 is how Python 3 reads the bytes of an array that Python 2 pickled.
        content = _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise DataError(
            f"{path} cannot be read as the tutorial's pickle of arrays ({in_short(error)})."
        ) from None
    try:
        (train_x, train_y), (valid_x, valid_y), (test_x, test_y) = content
        for array in (train_x, train_y, valid_x, valid_y, test_x, test_y):
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "fui":
                raise TypeError("something in it is no array of numbers")
            _refuse_if_too_large(path, array.nbytes)  # an array can be of more than is there
        arrays = dict(
            zip(
                IDX_SHA256,
                (
                    np.concatenate([_bytes_of_floats(train_x), _bytes_of_floats(valid_x)]),
                    np.concatenate([train_y, valid_y]),
                    _bytes_of_floats(test_x),
                    test_y,
                ),
            )
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{path} does not hold the tutorial's three pairs of images and labels "
            f"({in_short(error)})."
        ) from None
    return _checked(arrays, dict.fromkeys(arrays, path), source=path.name)


def _bytes_of_floats(rows: np.ndarray) -> np.ndarray:
    """The tutorial's float rows [N, 784] of pixel/256 as the bytes [N, 28, 28] they came from."""
    with np.errstate(over="ignore", invalid="ignore"):  # the next line speaks of it
        pixels = np.asarray(rows, np.float32) * np.float32(256)
    if not np.isfinite(pixels).all():
        raise ValueError("some pixels are not finite numbers")
    images = pixels.clip(0, 255).astype(np.uint8)
    if (images != pixels).any():
        raise ValueError("some pixels are not a whole number of 256ths from 0 to 255/256")
    return images.reshape(-1, 28, 28)


# --- what every container has in common --------------------------------------------------


def _checked(arrays: dict[str, np.ndarray], files: Mapping[str, Path | str], source: str) -> Mnist:
    """The four arrays as MNIST, once their shapes, ranges and digests are MNIST's."""
    for key, array in arrays.items():
        file, kind = files[key], key.split("-")[1]
        if array.ndim != (3 if kind == "images" else 1):
            raise DataError(
                f"{file} holds an array of shape {array.shape} where {kind} were expected: "
                "are two files swapped?"
            )
        expected = IDX_LENGTH[key.split("-")[0]]
        if len(array) != expected:
            raise DataError(
                f"{file} holds {len(array):,} {kind} where {expected:,} were expected: "
                "are the training and test files swapped, or is it another data set?"
            )
        if array.shape[1:] != IDX_SHAPE[kind]:
            raise DataError(f"{file} holds {kind} of shape {array.shape[1:]}: MNIST's are 28x28.")
        if array.dtype.kind not in "ui" or array.min() < 0 or array.max() > 255:
            raise DataError(f"{file} holds {array.dtype} {kind} that are no bytes: {NOT_MNIST}")
        if hashlib.sha256(_idx_bytes(array)).hexdigest() != IDX_SHA256[key]:
            raise DataError(f"{file}: {NOT_MNIST}")
    images, labels, test_images, test_labels = arrays.values()
    train = Split(images.astype(np.uint8), labels.astype(np.int64))
    return Mnist(
        train=Split(train.images[:-N_VALID], train.labels[:-N_VALID]),
        valid=Split(train.images[-N_VALID:], train.labels[-N_VALID:]),
        test=Split(test_images.astype(np.uint8), test_labels.astype(np.int64)),
        name="mnist",
        source=source,
    )


# --- download ----------------------------------------------------------------------------


def _download_mnist() -> Mnist:
    """Keras's cached or downloaded copy, else the IDX files from a mirror, into Keras's cache."""
    import keras

    tried = []
    try:
        (images, labels), (test_images, test_labels) = keras.datasets.mnist.load_data()
        arrays = dict(zip(IDX_SHA256, (images, labels, test_images, test_labels)))
        return _checked(arrays, dict.fromkeys(arrays, "Keras's mnist.npz"), "Keras's mnist.npz")
    except Exception as error:  # keras raises a bare Exception where a download fails
        tried.append(f"Keras's copy: {_why(error)}")
    try:
        for key in IDX_SHA256:
            file = keras.utils.get_file(f"{key}.gz", MIRROR + key + ".gz", cache_subdir="mnist")
        return _from_idx_folder(Path(file).parent)
    except Exception as error:
        tried.append(f"the mirror: {_why(error)}")
    raise DataError(f"MNIST could not be downloaded ({'; '.join(tried)}).")


def _why(error: Exception) -> str:
    """What stopped a download, in words that say whose fault it was."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            "the server's certificate could not be verified; behind a company proxy, point "
            "SSL_CERT_FILE at its certificate"
        )
    if "Tunnel connection failed" in text or "Proxy" in text:
        return "the proxy refused the connection; look at HTTPS_PROXY"
    if "Name or service not known" in text or "name resolution" in text or "getaddrinfo" in text:
        return "there is no network, or it does not know the server's name"
    return text.removeprefix("URL fetch failure on ").rstrip(".")


# --- the embedded digits -----------------------------------------------------------------

# The 1,797 are 13 people's, one after the other. Everyone began by writing 0 to 9 and then
# again 0 to 9, which shows in the labels where each begins; a test finds these again.
DIGITS_WRITER_STARTS = (0, 130, 256, 386, 516, 646, 776, 915, 1029, 1157, 1287, 1415, 1667)
# Nobody's hand is in two splits. How well an unseen hand is read depends on whose it is:
# from all right to one digit in eight wrong.
DIGITS_VALID_WRITERS = (0, 4, 8)
DIGITS_TEST_WRITERS = (2, 6, 10)


def _load_digits() -> Mnist:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = np.stack([_as_mnist_made_it(digit) for digit in images.reshape(-1, 8, 8)])
    writers = np.searchsorted(DIGITS_WRITER_STARTS, np.arange(len(labels)), side="right") - 1
    valid = np.isin(writers, DIGITS_VALID_WRITERS)
    test = np.isin(writers, DIGITS_TEST_WRITERS)

    def split(mask: np.ndarray) -> Split:
        return Split(images[mask], labels[mask].astype(np.int64))

    return Mnist(
        train=split(~valid & ~test),
        valid=split(valid),
        test=split(test),
        name="digits",
        source="scikit-learn's digits",
    )


def _as_mnist_made_it(digit: np.ndarray) -> np.ndarray:
    """One 8x8 digit of 0 to 16 as MNIST would have it (LeCun et al. 1998, section III.A).

    Its bounding box is scaled so that the longer side is 20 pixels, then pasted into 28x28
    with its centre of mass at the centre.
    """
    from PIL import Image

    rows, columns = np.flatnonzero(digit.any(axis=1)), np.flatnonzero(digit.any(axis=0))
    box = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(side * 20 / max(box.shape))) for side in box.shape)
    drawn = Image.fromarray(box.astype(np.float32) * (255 / 16))
    ink = np.asarray(drawn.resize((width, height), Image.Resampling.BICUBIC)).clip(0, 255)

    centre_y = np.average(np.arange(height), weights=ink.sum(axis=1))
    centre_x = np.average(np.arange(width), weights=ink.sum(axis=0))
    top = int(np.clip(round(13.5 - centre_y), 0, 28 - height))
    left = int(np.clip(round(13.5 - centre_x), 0, 28 - width))
    picture = np.zeros((28, 28), np.uint8)
    picture[top : top + height, left : left + width] = ink.round()
    return picture
