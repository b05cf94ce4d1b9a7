"""Every container gives the same bytes; every damage gives one sentence that names the file."""

import dataclasses
import gzip
import hashlib
import io
import os
import pickle
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from random_pickles import Noted

from lenet_keras import data
from lenet_keras.data import DataError, load_mnist, read_idx
from lenet_keras.storage.idx import idx_bytes

HERE = Path(__file__).parent


def pictures(first: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The digits of tests/data/make_python2_pickle.py, as bytes."""
    i = np.arange(first, first + n).reshape(-1, 1)
    images = ((i * 7 + np.arange(784) * 3) % 256).astype(np.uint8).reshape(-1, 28, 28)
    return images, (i.ravel() * 3 % 10).astype(np.uint8)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A data set of 60 + 10 pictures that the module takes for MNIST, and a folder to put it in."""
    files = dict(zip(data.IDX_SHA256, (*pictures(0, 60), *pictures(60, 10))))
    digests = {name: hashlib.sha256(idx(array)).hexdigest() for name, array in files.items()}
    monkeypatch.setattr(data, "IDX_SHA256", digests)
    monkeypatch.setattr(data, "IDX_LENGTH", {"train": 60, "t10k": 10})
    monkeypatch.setattr(data, "N_VALID", 10)
    monkeypatch.delenv("LENET_KERAS_DATA", raising=False)

    class Small:
        folder = tmp_path / "idx"
        arrays = files

        @staticmethod
        def write(name: str, content: bytes) -> None:
            (Small.folder / name).write_bytes(content)

    Small.folder.mkdir()
    for name, array in files.items():
        Small.write(name, idx(array))
    return Small


def assert_is_small(mnist):
    for split, (first, n) in zip(
        (mnist.train, mnist.valid, mnist.test), ((0, 50), (50, 10), (60, 10)), strict=True
    ):
        images, labels = pictures(first, n)
        assert split.images.dtype == np.uint8 and split.labels.dtype == np.int64
        np.testing.assert_array_equal(split.images, images)
        np.testing.assert_array_equal(split.labels, labels)
    assert mnist.name == "mnist"


def tutorial_pairs(small):
    """What the tutorial's pickle holds."""
    x, y, test_x, test_y = small.arrays.values()

    def floats(images):
        return (images.reshape(-1, 784) / np.float32(256)).astype(np.float32)

    return (
        (floats(x[:50]), y[:50].astype(np.int64)),
        (floats(x[50:]), y[50:].astype(np.int64)),
        (floats(test_x), test_y.astype(np.int64)),
    )


# --- the containers ---


def test_idx_folder_plain_and_gzipped(small):
    assert_is_small(load_mnist(small.folder))
    plain = load_mnist(small.folder).digest
    for name, array in small.arrays.items():
        (small.folder / name).unlink()
        small.write(f"{name}.gz", gzip.compress(idx(array)))
    assert_is_small(load_mnist(small.folder))
    assert load_mnist(small.folder).digest == plain


def test_npz(small, tmp_path):
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(tmp_path / "mnist.npz", **dict(zip(names, small.arrays.values())))
    assert_is_small(load_mnist(tmp_path / "mnist.npz"))


@pytest.mark.parametrize("name", ["", "_protocol0", "_protocol1"])
def test_pickle_written_by_python_2(small, name):
    assert_is_small(load_mnist(HERE / "data" / f"small_python2{name}.pkl.gz"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_written_by_this_numpy(small, tmp_path, protocol):
    path = tmp_path / "mnist.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps(tutorial_pairs(small), protocol)))
    assert_is_small(load_mnist(path))


def test_auto_takes_the_environment_variable(small, monkeypatch):
    monkeypatch.setenv("LENET_KERAS_DATA", str(small.folder))
    assert_is_small(load_mnist())


@pytest.mark.parametrize("source", ["auto", "mnist"])
@pytest.mark.parametrize("told", [None, "auto", "mnist", "digits", "files", "nowhere"])
def test_what_auto_and_mnist_mean(small, monkeypatch, source, told):
    monkeypatch.setattr(data, "_download_mnist", lambda: "downloaded")
    monkeypatch.setattr(data, "_load_digits", lambda: "digits")
    if told is not None:
        path = {"files": small.folder, "nowhere": small.folder / "nowhere"}.get(told, told)
        monkeypatch.setenv("LENET_KERAS_DATA", str(path))
    if told == "nowhere":  # no other data instead
        with pytest.raises(DataError, match="nowhere"):
            load_mnist(source)
    elif told == "files":
        assert_is_small(load_mnist(source))
    else:
        expected = "digits" if (source, told) == ("auto", "digits") else "downloaded"
        assert load_mnist(source) == expected


def test_mnist_is_never_the_digits(monkeypatch):
    def fail():
        raise DataError("No network.")

    monkeypatch.setattr(data, "_download_mnist", fail)
    for told in ("", "auto", "mnist", "digits"):
        monkeypatch.setenv("LENET_KERAS_DATA", told)
        with pytest.raises(DataError, match="No network"):
            load_mnist("mnist")


def test_auto_falls_back_to_digits_and_says_what_was_tried(monkeypatch):
    import keras

    def no_network(*_args, **_kwargs):
        raise Exception(
            "URL fetch failure on somewhere: None -- [Errno -2] Name or service not known"
        )

    monkeypatch.delenv("LENET_KERAS_DATA", raising=False)
    monkeypatch.setattr(keras.datasets.mnist, "load_data", no_network)
    monkeypatch.setattr(keras.utils, "get_file", no_network)
    with pytest.warns(UserWarning, match="Keras's copy: there is no network.*mirror.*not MNIST"):
        mnist = load_mnist()
    assert mnist.name == "digits" and "mnist" not in mnist.source.lower()


def test_the_mirror_is_asked_when_keras_fails(small, monkeypatch):
    import keras

    def fail():
        raise Exception("URL fetch failure: 503")

    asked = []

    def get_file(name, origin, cache_subdir):
        asked.append(origin)
        small.write(name, gzip.compress(idx(small.arrays[name.removesuffix(".gz")])))
        (small.folder / name.removesuffix(".gz")).unlink()
        return str(small.folder / name)

    monkeypatch.setattr(keras.datasets.mnist, "load_data", fail)
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    assert_is_small(load_mnist("mnist"))
    assert asked == [f"{data.MIRROR}{name}.gz" for name in small.arrays]


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] unable to get issuer", "SSL_CERT_FILE"),
        ("Tunnel connection failed: 403 Forbidden", "HTTPS_PROXY"),
        ("[Errno -2] Name or service not known", "there is no network"),
        ("URL fetch failure on x: 503 -- busy", "x: 503 -- busy"),
    ],
)
def test_a_failed_download_says_whose_fault_it_was(failure, sentence):
    assert sentence in data._why(Exception(failure))


# --- the digest ---


def test_the_digest_is_computed_once_and_goes_along(small, monkeypatch):
    mnist = load_mnist(small.folder)
    before, digest = pickle.loads(pickle.dumps(mnist)), mnist.digest
    monkeypatch.setattr(data, "idx_bytes", None)  # nobody can compute one any more
    assert mnist.digest == digest
    assert pickle.loads(pickle.dumps(mnist)).digest == digest
    monkeypatch.undo()
    assert before.digest == digest
    assert [field.name for field in dataclasses.fields(mnist)] == [
        "train", "valid", "test", "name", "source",
    ]  # fmt: skip
    other = dataclasses.replace(mnist, test=mnist.valid)
    assert other.digest != digest


# --- damage ---

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
DAMAGES = {
    "truncated": (IMAGES, lambda raw: raw[:-1], "shorter than its header says"),
    "too long": (IMAGES, lambda raw: raw + b"\0", "longer than its header says"),
    "empty": (LABELS, lambda raw: b"", "is empty"),
    "header only": (IMAGES, lambda raw: raw[:9], "ends inside its header"),
    "wrong magic": (IMAGES, lambda raw: b"\x89PNG" + raw[4:], "not an IDX file.*0x89504e47"),
    "swapped": (IMAGES, lambda raw: idx(pictures(0, 60)[1]), "two files swapped"),
    "wrong length": (IMAGES, lambda raw: idx(pictures(0, 10)[0]), "holds 10 images where 60"),
    "one pixel": (IMAGES, lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), "SHA-256"),
    "one label": (LABELS, lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), "SHA-256"),
    "cut gzip": (IMAGES, lambda raw: gzip.compress(raw)[:-20], "damaged or cut short"),
    "bad gzip": (IMAGES, lambda raw: b"\x1f\x8b" + raw, "damaged or cut short"),
    "huge header": (IMAGES, lambda raw: raw[:4] + b"\xff" * 12 + raw[16:], "no MNIST file is so"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_idx_file_is_named_in_one_sentence(small, damage):
    name, spoil, sentence = DAMAGES[damage]
    small.write(name, spoil(idx(small.arrays[name])))
    with pytest.raises(DataError, match=sentence) as caught:
        load_mnist(small.folder)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_and_a_missing_folder(small):
    (small.folder / LABELS).unlink()
    with pytest.raises(DataError, match=f"{LABELS}.gz"):
        load_mnist(small.folder)
    with pytest.raises(DataError, match="There is no data at"):
        load_mnist(small.folder / "nowhere")
    (small.folder / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match="neither a folder of IDX files"):
        load_mnist(small.folder / "notes.txt")


def test_a_path_that_cannot_be_looked_at(tmp_path):
    for source in ("~nosuchuser/x", "x" * 5000, str(tmp_path / "a\0b")):
        with pytest.raises(DataError):
            load_mnist(source)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(small):
    (small.folder / IMAGES).chmod(0)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        load_mnist(small.folder)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", b"hello"])
def test_a_damaged_npz(small, tmp_path, content):
    path = tmp_path / "mnist.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"mnist\.npz"):
        load_mnist(path)


def test_an_npz_with_an_array_missing_or_of_objects(small, tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=np.zeros(3))
    with pytest.raises(DataError, match="no array named y_train"):
        load_mnist(path)
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(path, **{name: np.array([None]) for name in names}, allow_pickle=True)
    with pytest.raises(DataError, match=r"mnist\.npz"):
        load_mnist(path)


def spoilt(pairs, spoil):
    (train_x, train_y), valid, test = pairs
    return (spoil(train_x.copy()), train_y), valid, test


def with_pixel(value):
    def spoil(x):
        x[3, 100] = value
        return x

    return spoil


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (with_pixel(np.nan), "not a whole number of 256ths"),
        (with_pixel(np.inf), "not a whole number of 256ths"),
        (with_pixel(0.001), "not a whole number of 256ths"),
        (with_pixel(1.0), "not a whole number of 256ths"),
        (with_pixel(-1 / 256), "not a whole number of 256ths"),
        (lambda x: x[:, :700], "images and labels"),
        (lambda x: np.concatenate([x, x]), "more digits than MNIST"),
        (lambda x: x[:40], "holds 50 images where 60"),
        (lambda x: x[::-1], "SHA-256"),
    ],
)
def test_a_damaged_pickle_is_named_in_one_sentence(small, tmp_path, spoil, sentence):
    path = tmp_path / "mnist.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps(spoilt(tutorial_pairs(small), spoil))))
    with pytest.raises(DataError, match=sentence) as caught:
        load_mnist(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        gzip.compress(b"", mtime=0),
        b"\x1f\x8b junk",
        b"junk",
        pickle.dumps([1, 2, 3]),
        pickle.dumps(7),
    ],
)
def test_a_file_that_is_no_such_pickle(small, tmp_path, content):
    path = tmp_path / "mnist.pkl.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(path))):
        load_mnist(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("call", ["os.system", "eval", "exec", "open", "numpy.load", "getattr"])
def test_a_hostile_pickle_runs_nothing(tmp_path, protocol, call):
    trace = tmp_path / "trace"
    hostile = {
        "os.system": Noted(os.system, (f"touch {trace}",)),
        "eval": Noted(eval, (f"open({str(trace)!r}, 'w')",)),
        "exec": Noted(exec, (f"open({str(trace)!r}, 'w')",)),
        "open": Noted(open, (str(trace), "w")),
        "numpy.load": Noted(np.load, (str(trace),)),
        "getattr": Noted(getattr, ("text", "upper")),
    }[call]
    # The same bytes do run under the ordinary unpickler: the test could fail.
    payload = pickle.dumps(hostile, protocol)
    if call == "os.system":
        pickle.loads(payload)
        assert trace.exists()
        trace.unlink()
    path = tmp_path / "mnist.pkl"
    path.write_bytes(payload)
    with pytest.raises(DataError, match="which no array needs"):
        load_mnist(path)
    assert not trace.exists()


@given(
    arrays(np.uint8, st.one_of(st.tuples(st.integers(0, 9)), st.tuples(*[st.integers(0, 5)] * 3)))
)
def test_read_idx_returns_what_was_written(tmp_path_factory, array):
    path = tmp_path_factory.getbasetemp() / "any-idx"
    path.write_bytes(idx(array))
    np.testing.assert_array_equal(read_idx(path), array)
    assert idx_bytes(array) == idx(array)


# --- the embedded digits ---


def test_digits_look_like_mnist(digits):
    images = np.concatenate([split.images for split in (digits.train, digits.valid, digits.test)])
    labels = np.concatenate([split.labels for split in (digits.train, digits.valid, digits.test)])
    assert images.shape == (1797, 28, 28) and images.dtype == np.uint8
    assert set(labels) == set(range(10)) and labels.dtype == np.int64
    rows, columns = images.any(axis=2), images.any(axis=1)
    longer = np.maximum(
        28 - rows.argmax(1) - rows[:, ::-1].argmax(1),
        28 - columns.argmax(1) - columns[:, ::-1].argmax(1),
    )
    assert longer.max() <= 20 and np.median(longer) == 20
    weights = images / images.sum(axis=(1, 2), keepdims=True)
    for axis in (1, 2):
        center = (weights.sum(axis=3 - axis) * np.arange(28)).sum(axis=1)
        assert np.abs(center - 13.5).max() <= 0.51


def test_no_digit_and_no_writer_is_in_two_splits(digits):
    from sklearn.datasets import load_digits

    splits = (digits.train, digits.valid, digits.test)
    seen = [{image.tobytes() for image in split.images} for split in splits]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])

    labels = load_digits(return_X_y=True)[1]
    twice = np.tile(np.arange(10), 2)
    starts = [i for i in range(len(labels) - 19) if (labels[i : i + 20] == twice).all()]
    # some wrote the ten digits three times over: those are one start, not two
    starts = [s for s in starts if s - 10 not in starts]
    assert tuple(starts) == data.DIGITS_WRITER_STARTS
    assert not set(data.DIGITS_VALID_WRITERS) & set(data.DIGITS_TEST_WRITERS)
    ends = [*starts[1:], len(labels)]
    held_out = sum(ends[w] - starts[w] for w in data.DIGITS_TEST_WRITERS)
    assert len(digits.test.labels) == held_out == 397


# --- MNIST itself ---


@pytest.mark.mnist
def test_mnist_itself(mnist):
    lengths = [len(split.labels) for split in (mnist.train, mnist.valid, mnist.test)]
    assert lengths == [50_000, 10_000, 10_000]
    assert mnist.name == "mnist"
    assert mnist.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(mnist.test.labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip


@pytest.mark.mnist
def test_mnist_through_every_container_is_the_same(mnist, tmp_path):
    images = np.concatenate([mnist.train.images, mnist.valid.images])
    labels = np.concatenate([mnist.train.labels, mnist.valid.labels])
    np.savez(
        tmp_path / "mnist.npz",
        x_train=images,
        y_train=labels,
        x_test=mnist.test.images,
        y_test=mnist.test.labels,
    )
    floats = [
        ((split.images.reshape(-1, 784) / np.float32(256)).astype(np.float32), split.labels)
        for split in (mnist.train, mnist.valid, mnist.test)
    ]
    assert max(x.max() for x, _ in floats) == 0.99609375
    with io.BytesIO() as buffer:
        pickle.dump(floats, buffer, protocol=2)
        (tmp_path / "mnist.pkl").write_bytes(buffer.getvalue())
    for name in ("mnist.npz", "mnist.pkl"):
        assert load_mnist(tmp_path / name).digest == mnist.digest
