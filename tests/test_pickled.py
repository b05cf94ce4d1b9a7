"""The tutorial's pickle: arrays come back as they were, and nothing else comes at all.

``LENET_KERAS_FUZZ=25000 pytest tests/test_pickled.py -k instruction`` reads a million pickles that
are wrong by an instruction or more, instead of the usual 4,000.
"""

import codecs
import gzip
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy._core.multiarray import _reconstruct
from numpy._core.numeric import _frombuffer
from random_pickles import GOOD, Noted

from lenet_keras.storage.pickled import MOST_INSTRUCTIONS, read_pickled_pairs
from lenet_keras.storage.reading import DataError

HERE = Path(__file__).parent
CASES = 40 * int(os.environ.get("LENET_KERAS_FUZZ", "100"))
BATCH = 20_000  # cases in one process

DTYPES = [
    f"{order}{number}"
    for number in ("f2", "f4", "f8", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8")
    for order in "<>"
]


def read(path: Path, content: bytes) -> list[tuple[np.ndarray, np.ndarray]]:
    path.write_bytes(content)
    return read_pickled_pairs(path)


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    assert ours.dtype.str == theirs.dtype.str and ours.tobytes() == theirs.tobytes()
    assert np.isfortran(ours) == np.isfortran(theirs)


# --- arrays come back as they were ---


@given(
    st.lists(
        st.sampled_from(DTYPES).flatmap(
            lambda dtype: hnp.arrays(
                dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
            )
        ),
        min_size=6,
        max_size=6,
    ),
    st.sampled_from("CF"),
    st.integers(0, 5),
    st.sampled_from((tuple, list)),
    st.booleans(),
)
def test_every_array_that_numpy_pickles(tmp_path_factory, six, order, protocol, box, packed):
    six = [np.asarray(array, order=order) for array in six]
    pairs = box(box(six[i : i + 2]) for i in (0, 2, 4))
    content = pickle.dumps(pairs, protocol)
    path = tmp_path_factory.getbasetemp() / "any.pkl.gz"
    for ours, theirs in zip(read(path, gzip.compress(content) if packed else content), pairs):
        for one, other in zip(ours, theirs):
            assert_same(one, other)


@pytest.mark.parametrize("protocol", range(6))
def test_an_array_in_several_places_and_one_with_gaps(tmp_path, protocol):
    wide = np.arange(24, dtype=np.int32).reshape(4, 6)
    gaps = wide[::2, ::3]
    pair = (wide, gaps)
    for ours in read(tmp_path / "any.pkl", pickle.dumps((pair, (wide, wide), pair), protocol)):
        assert_same(ours[0], wide)
    assert_same(ours[1], gaps.copy())


@pytest.mark.parametrize("name", ["", "_protocol0", "_protocol1"])
def test_python_2_wrote_it(name):
    first = 0
    pairs = read_pickled_pairs(HERE / "data" / f"small_python2{name}.pkl.gz")
    for (images, labels), n in zip(pairs, (50, 10, 10), strict=True):
        i = np.arange(first, first + n)
        pixels = (i[:, None] * 7 + np.arange(784) * 3) % 256
        assert_same(images, (pixels / np.float32(256)).astype("<f4"))
        assert_same(labels, (i * 3 % 10).astype("<i8"))
        first += n


def test_what_is_read_cannot_be_written_to(tmp_path):
    ones = np.ones(3)
    for pair in read(tmp_path / "any.pkl", pickle.dumps(((ones, ones),) * 3)):
        assert not any(array.flags.writeable for array in pair)


# --- nothing else comes ---


def dtype(number: str = "f8", order: object = "<", *rest: object) -> Noted:
    """A description of a number; rest: its parts, names, fields, size, alignment, and flags."""
    return Noted(
        np.dtype, (number, False, True), (3, order, *(rest or (None, None, None, -1, -1, 0)))
    )


def array(
    number: object = None,
    shape: object = (1,),
    data: object = bytes(8),
    start: tuple = (np.ndarray, (0,), b"b"),
    version: int = 1,
    items: tuple = (),
) -> Noted:
    state = (version, shape, dtype() if number is None else number, False, data)
    return Noted(_reconstruct, start, state, items=items)


def pairs_of(one: object) -> bytes:
    return pickle.dumps(((one, np.zeros(1)),) * 3)


def test_these_forgeries_would_be_read_if_they_were_true(tmp_path):
    for true in (array(), array(dtype("u1", "|"), (2, 4)), array(shape=(0, 7), data=b"")):
        assert len(read(tmp_path / "any.pkl", pairs_of(true))) == 3


FAR = 1 << 28  # bytes beyond an array of eight
FIELDS = dtype("V8", "|", None, ("a",), {"a": (np.dtype("f8"), FAR)}, 8, 1, 16)
FORGED = {
    "a field far outside": array(FIELDS),
    "a field far outside, written to": array(FIELDS, items=(("a", 1.5),)),
    "a larger number than is there": array(dtype("f8", "<", None, None, None, 1 << 30, 8, 0)),
    "parts": array(dtype("V8", "|", (np.dtype("f8"), (1 << 20,)), None, None, 8, 1, 0)),
    "flags": array(dtype("f8", "<", None, None, None, -1, -1, 63)),
    "an item set": array(items=((0, 1.5),)),
    "objects": array(dtype("O", "|")),
    "text": array(dtype("U2")),
    "raw bytes": array(dtype("V8", "|")),
    "complex numbers": array(dtype("c8")),
    "dates": array(dtype("M8")),
    "truth values": array(dtype("b1", "|"), (8,)),
    "no such number": array(dtype("f1", "|"), (8,)),
    "many numbers in one": array(dtype("2f4")),
    "no order": array(Noted(np.dtype, ("f8", False, True))),
    "another order": array(dtype("f8", "=")),
    "an order where there is none": array(dtype("f8", "|")),
    "too much": array(shape=(2,)),
    "too little": array(data=bytes(16)),
    "below nothing": array(shape=(-1,)),
    "twice below nothing": array(shape=(-1, -1)),
    "a truth value long": array(shape=(True,)),
    "half a number long": array(shape=(1.0,)),
    "a list of sides": array(shape=[1]),
    "no side at all": array(shape=None),
    "a huge side and an empty one": array(shape=(1 << 62, 0), data=b""),
    "five axes": array(shape=(1,) * 5),
    "another version": array(version=2),
    "another class": array(start=(np.memmap, (0,), b"b")),
    "another start": array(start=(np.ndarray, (1 << 40,), b"b")),
    "an array for the bytes": array(data=np.zeros(1)),
    "a list for the bytes": array(data=[0] * 8),
    "nothing for the bytes": array(data=None),
    "no description": Noted(_reconstruct, (np.ndarray, (0,), b"b")),
    "a dtype for a class": array(start=(np.dtype, (0,), b"b")),
    "another encoding": array(data=Noted(codecs.encode, ("AAAAAAA-", "punycode"))),
    "neither rows nor columns first": Noted(_frombuffer, (bytes(8), np.dtype("f8"), (1,), "K")),
    "an order of axes": Noted(_frombuffer, (bytes(8), np.dtype("f8"), (1,), "K", (0,))),
    "a function's default": Noted(_frombuffer, (bytes(8), np.dtype("f8"), (1,), "C"), (None, {})),
    "a name": np.ndarray,
    "a number": 1.5,
    "a dtype": np.dtype("f8"),
    "a dictionary": {"a": np.zeros(1)},
    "a set": {1},
}


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("name", FORGED)
def test_a_forged_array_is_a_sentence(tmp_path, name, protocol):
    path = tmp_path / "any.pkl"
    with pytest.raises(DataError) as caught:
        read(path, pickle.dumps(((FORGED[name], np.zeros(1)),) * 3, protocol))
    assert str(path) in str(caught.value) and str(caught.value).isprintable()


def test_a_forged_array_does_not_end_the_process(tmp_path):
    """In another process, which the fields did end when NumPy read them."""
    names = [name for name in FORGED if "far outside" in name]
    for number, name in enumerate(names):
        (tmp_path / f"{number}.pkl").write_bytes(pairs_of(FORGED[name]))
    code = """
import sys
from lenet_keras.data import DataError, load_mnist
for path in sys.argv[1:]:
    try:
        print(load_mnist(path))
    except DataError as error:
        print("refused:", error)
"""
    paths = sorted(str(path) for path in tmp_path.iterdir())
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["refused"] * len(names)


WRONG = {
    "nothing": b".",
    "no end": b"K\1",
    "no such instruction": b"\xfe.",
    "no mark": b"t.",
    "nothing below the mark": b"K\1(\x85.",
    "recalls what is not there": b"h\5.",
    "remembers nothing": b"q\5.",
    "appends to no list": b")K\1a.",
    "a list within itself": b"]q\0(h\0h\0h\0e.",
    "more than is there": b"\x8e" + (1 << 62).to_bytes(8, "little") + b"abc.",
    "a text cut short": b"X\x01\0\0\0\xc3.",
    "a text of other alphabets": "X\4\0\0\0\N{GRINNING FACE}.".encode(),
    "a line without end": b"I12",
    "one quote": b"S'\n.",
    "a name that is no text": b"K\1K\1\x93.",
    "a name with a line in it": b"X\3\0\0\0o\nsX\6\0\0\0system\x93.",
    "calls a number": b"K\1)R.",
    "calls no call": b"cnumpy\nndarray\nK\1\x85R.",
    "a function's defaults": b"c_codecs\nencode\nN}X\x0c\0\0\0__defaults__K\1\x85s\x86b.",
    "a function's state": b"c_codecs\nencode\n(K\3X\1\0\0\0<NNNJ\xff\xff\xff\xffK\0K\0tb.",
    "a long program": b"(" * MOST_INSTRUCTIONS + b".",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_program_is_a_sentence(tmp_path, name):
    path = tmp_path / "any.pkl"
    with pytest.raises(DataError) as caught:
        read(path, WRONG[name])
    assert str(path) in str(caught.value) and str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b"S'f4'", b"Sf4"),
        (b"S'f4'", b"S'f4"),
        (b"S'f4'", b"Sxf4x"),
        (b"S'f4'", b"S'\\1464'"),
        (b"S'f4'", b"S'f4\\x'"),
        (b"I4\n", b"I" + b"0" * 100 + b"4\n"),
        (b"I4\n", b"Ifour\n"),
        (b"NNNI-1\nI-1\nI0\ntb", b"NNNI-1\nI-1\nI0\ntb(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"),
        (b"?'\ntb", b"?'\ntb(I1\n(I0\ntg5\nI00\nS''\ntb"),
    ],
)
def test_lines_that_are_wrong(tmp_path, right, wrong):
    good = b"".join(next(each for each in GOOD if b"S'f4'\n" in each))
    (one, _), *_ = read(tmp_path / "any.pkl", good)
    assert one.tolist() == [[0, 0.5, 0.125, 0.5]] and right in good
    with pytest.raises(DataError):
        read(tmp_path / "any.pkl", good.replace(right, wrong, 1))


def test_no_function_is_changed(tmp_path):
    before = _frombuffer.__defaults__, dict(vars(_frombuffer))
    for module in (b"numpy._core.numeric", b"numpy.core.numeric"):
        change = b"_frombuffer\nN}X\x0c\0\0\0__defaults__K\1\x85s\x86b."
        with pytest.raises(DataError):
            read(tmp_path / "any.pkl", b"\x80\2c" + module + b"\n" + change)
    assert (_frombuffer.__defaults__, dict(vars(_frombuffer))) == before


def test_pickles_that_are_wrong_by_an_instruction(tmp_path):
    """Each batch in another process: its death, a hang, or any other exception fails the test."""
    total = {"read": 0, "refused": 0, "longest": 0.0, "memory": 0, "seconds": 0.0}
    for first in range(0, CASES, BATCH):
        span = [str(first), str(min(first + BATCH, CASES))]
        program = [sys.executable, HERE / "random_pickles.py", *span, tmp_path]
        done = subprocess.run(program, capture_output=True, text=True, timeout=600)
        number = (tmp_path / "number").read_text().strip()
        assert done.returncode == 0, f"pickle {number}: {done.returncode} {done.stderr[-2000:]}"
        for key, value in json.loads(done.stdout).items():
            total[key] = (max if key in ("longest", "memory") else sum)((total[key], value))
    print(total)
    assert total["read"] + total["refused"] == CASES
    assert min(total["read"], total["refused"]) > CASES / 50
