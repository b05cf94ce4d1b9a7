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

import functools
import hashlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lenet_keras.errors import in_short
from lenet_keras.storage.idx import idx_bytes, read_idx
from lenet_keras.storage.npz import read_npz
from lenet_keras.storage.pickled import read_pickled_pairs
from lenet_keras.storage.reading import DataError

__all__ = ["DataError", "Mnist", "Split", "load_mnist", "read_idx"]


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

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over the IDX bytes of train, valid and test: the same data, the same digest.

        It is computed at the first look and kept, so the arrays are not to be changed in place;
        ``dataclasses.replace`` makes data with a digest of their own.
        """
        sha = hashlib.sha256()
        for split in (self.train, self.valid, self.test):
            sha.update(idx_bytes(split.images))
            sha.update(idx_bytes(split.labels))
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
MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"

NOT_MNIST = (
    "its content is not MNIST's (the SHA-256 of the pixels or labels differs from the "
    "published one): get the file again."
)


def load_mnist(source: str | os.PathLike[str] = "auto") -> Mnist:
    """Load MNIST, or the embedded digits where there is no MNIST.

    Args:
        source: one of
            ``"mnist"``: MNIST itself: the files that ``$LENET_KERAS_DATA`` names if it is a
            path, else Keras's copy, downloaded if need be, else a mirror's;
            ``"digits"``: scikit-learn's 1,797 real handwritten digits, no network needed;
            ``"auto"``: what ``$LENET_KERAS_DATA`` says if it is set (any of these), else
            ``"mnist"``, else ``"digits"`` with a warning that says what was tried;
            the path of a folder with the four IDX files (plain or .gz), of an ``mnist.npz``
            as Keras keeps it, or of the tutorial's own ``mnist.pkl.gz``.

    Returns:
        ``Mnist``: MNIST split 50,000 / 10,000 / 10,000, or digits split by writer.

    Raises:
        DataError: what was wrong, with which file, and what to do, in a sentence.
    """
    source = os.fspath(source)
    told = os.environ.get("LENET_KERAS_DATA") or "auto"
    if source == "auto" or (source == "mnist" and told not in ("auto", "mnist", "digits")):
        source = told
    if source == "digits":
        return _load_digits()
    if source == "mnist":
        return _download_mnist()
    if source != "auto":
        return _from_path(source)
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


def _from_path(source: str) -> Mnist:
    try:
        path = Path(source).expanduser()
        if path.is_dir():
            return _from_idx_folder(path)
        found = path.exists()
    except (OSError, RuntimeError) as error:  # no access, too long a name; no such user
        raise DataError(
            f"{source} cannot be looked at ({in_short(error).rstrip('.')}): name a folder or a "
            "file that can."
        ) from None
    if not found:
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


# --- the containers ----------------------------------------------------------------------


def _from_idx_folder(folder: Path) -> Mnist:
    files = []
    for name in IDX_SHA256:
        found = next((p for p in (folder / name, folder / f"{name}.gz") if p.exists()), None)
        if found is None:
            raise DataError(
                f"{folder} holds neither {name} nor {name}.gz: all four MNIST files must be there."
            )
        files.append(found)
    return _checked([read_idx(file) for file in files], files, source="IDX files")


def _from_npz(path: Path) -> Mnist:
    arrays = read_npz(path, ("x_train", "y_train", "x_test", "y_test"))
    return _checked(arrays, [path] * 4, source=path.name)


def _from_pickle(path: Path) -> Mnist:
    pairs = read_pickled_pairs(path)
    try:
        most = IDX_LENGTH["train"]
        if any(x.size > most * 784 or y.size > most for x, y in pairs):
            raise ValueError("there are more digits than MNIST has")
        (train_x, train_y), (valid_x, valid_y), (test_x, test_y) = pairs
        arrays = [
            np.concatenate([_bytes_of_floats(train_x), _bytes_of_floats(valid_x)]),
            np.concatenate([train_y, valid_y]),
            _bytes_of_floats(test_x),
            test_y,
        ]
    except ValueError as error:
        raise DataError(
            f"{path} does not hold the tutorial's images and labels: {in_short(error)}."
        ) from None
    return _checked(arrays, [path] * 4, source=path.name)


def _bytes_of_floats(rows: np.ndarray) -> np.ndarray:
    """The tutorial's rows [N, 784] of pixel/256 as the bytes [N, 28, 28] they came from."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is not a byte differs below
        pixels = np.multiply(rows, np.float32(256), dtype=np.float32)
        images = pixels.astype(np.uint8)
    if (images != pixels).any():
        raise ValueError("some pixels are not a whole number of 256ths from 0 to 255/256")
    return images.reshape(-1, 28, 28)


def _checked(arrays: list[np.ndarray], files: Sequence[Path | str], source: str) -> Mnist:
    """The four arrays as MNIST, once their shapes, ranges, and digests are MNIST's."""
    for name, array, file in zip(IDX_SHA256, arrays, files):
        part, kind, *_ = name.split("-")
        if array.ndim != (3 if kind == "images" else 1):
            raise DataError(
                f"{file} holds an array of shape {array.shape} where {kind} were expected: "
                "are two files swapped?"
            )
        if len(array) != IDX_LENGTH[part]:
            raise DataError(
                f"{file} holds {len(array):,} {kind} where {IDX_LENGTH[part]:,} were expected: "
                "are the training and test files swapped, or is it another data set?"
            )
        if array.shape[1:] != IDX_SHAPE[kind]:
            raise DataError(f"{file} holds {kind} of shape {array.shape[1:]}: MNIST's are 28x28.")
        if array.dtype.kind not in "ui" or array.min() < 0 or array.max() > 255:
            raise DataError(
                f"{file} holds {array.dtype.name} {kind} that are not bytes: {NOT_MNIST}"
            )
        if hashlib.sha256(idx_bytes(array)).hexdigest() != IDX_SHA256[name]:
            raise DataError(f"{file}: {NOT_MNIST}")
    images, test_images = (array.astype(np.uint8) for array in arrays[::2])
    labels, test_labels = (array.astype(np.int64) for array in arrays[1::2])
    return Mnist(
        train=Split(images[:-N_VALID], labels[:-N_VALID]),
        valid=Split(images[-N_VALID:], labels[-N_VALID:]),
        test=Split(test_images, test_labels),
        name="mnist",
        source=source,
    )


# --- download ----------------------------------------------------------------------------


def _download_mnist() -> Mnist:
    """Keras's cached or downloaded copy, else the IDX files from a mirror, into Keras's cache."""
    import keras

    tried = []
    try:
        train, test = keras.datasets.mnist.load_data()
        return _checked([*train, *test], ["Keras's mnist.npz"] * 4, source="Keras's mnist.npz")
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
    with its center of mass at the center.
    """
    from PIL import Image

    rows, columns = np.flatnonzero(digit.any(axis=1)), np.flatnonzero(digit.any(axis=0))
    box = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(side * 20 / max(box.shape))) for side in box.shape)
    drawn = Image.fromarray(box.astype(np.float32) * (255 / 16))
    ink = np.asarray(drawn.resize((width, height), Image.Resampling.BICUBIC)).clip(0, 255)

    center_y = np.average(np.arange(height), weights=ink.sum(axis=1))
    center_x = np.average(np.arange(width), weights=ink.sum(axis=0))
    top = int(np.clip(round(13.5 - center_y), 0, 28 - height))
    left = int(np.clip(round(13.5 - center_x), 0, 28 - width))
    picture = np.zeros((28, 28), np.uint8)
    picture[top : top + height, left : left + width] = ink.round()
    return picture
