"""Files from a stranger: an answer or a sentence, soon, in little memory, and nothing is run.

``LENET_KERAS_FUZZ=25000 pytest tests/test_hostile.py`` tries more than the usual 100 of each kind.
"""

import contextlib
import ctypes
import gzip
import io
import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from numpy._core.multiarray import _reconstruct
from PIL import Image
from random_pickles import Noted

from lenet_keras.data import DataError, load_mnist, read_idx
from lenet_keras.ship.classifier import FORMATS, ClassifyError, read_picture
from lenet_keras.storage.reading import LARGEST

FUZZ = int(os.environ.get("LENET_KERAS_FUZZ", "100"))
GIBIBYTE = 1 << 20  # in KiB, as the kernel counts
ROOT = Path(__file__).parent.parent

fuzzed = hypothesis.settings(
    max_examples=FUZZ,
    # milliseconds for one file: bombs take hours, and here the machine may be slow and busy
    deadline=60_000 if FUZZ <= 100 else 1000,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


# --- nothing is run, and memory stays small ---

done: list[str] | None = None


def _note(event: str, arguments: tuple) -> None:
    if done is None:
        return
    runs = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen")
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if event.startswith((*runs, "ctypes.dlopen", "socket.")) or writes:
        done.append(f"{event} {arguments}")


sys.addaudithook(_note)


def memory(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1])


def give_back_freed_memory():
    """What an earlier training in this process has kept would hide what is taken now."""
    with contextlib.suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def harmless():
    """Whatever is read within runs nothing, and stays within a GiB where the kernel tells."""
    global done
    done, before = [], None
    with contextlib.suppress(OSError):
        give_back_freed_memory()
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak
        before = memory("VmRSS")
    done.clear()
    try:
        yield
        assert not done
    finally:
        done = None
    if before is not None:
        assert memory("VmHWM") - before < GIBIBYTE


def test_harm_would_be_seen(tmp_path):
    for harm in (
        lambda: os.system("true"),
        lambda: subprocess.run(["true"]),
        lambda: (tmp_path / "file").write_bytes(b""),
    ):
        with pytest.raises(AssertionError), harmless():
            harm()
    if Path("/proc/self/clear_refs").exists():
        with pytest.raises(AssertionError), harmless():
            np.ones(9 << 27, np.uint8)


# --- damaged, forged and random files ---


def spoilt(seeds: list[bytes], chance: random.Random) -> bytes:
    """One of the seeds, changed in a few places, those near its ends more often."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randrange(6)):
        near = chance.choice((len(data), min(len(data), 200)))
        at = chance.randrange(near + 1) if chance.random() < 0.8 else len(data) - near // 2
        length = chance.choice((1, 1, 2, 4, 8, 100))
        other = chance.choice(seeds)
        start = chance.randrange(len(other) + 1)
        put = chance.choice(
            (
                chance.randbytes(length),
                b"\xff" * length,
                b"\0" * length,
                struct.pack(chance.choice("<>") + "I", chance.choice((1 << 31, 1 << 20, 60000))),
                other[start : start + length],
                b"",
            )
        )
        data[at : at + chance.choice((0, length, len(put)))] = put
    if chance.random() < 0.1:
        del data[chance.randrange(len(data) + 1) :]
    return bytes(data)


def arrays(n: int = 7) -> dict[str, np.ndarray]:
    labels = np.arange(n, dtype=np.uint8)
    images = np.arange(n * 784, dtype=np.uint32).astype(np.uint8).reshape(n, 28, 28)
    return {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}


def idx_files() -> list[bytes]:
    images, labels, *_ = arrays().values()
    files = [
        struct.pack(">HBB", 0, 8, each.ndim)
        + struct.pack(f">{each.ndim}I", *each.shape)
        + bytes(each)
        for each in (images, labels)
    ]
    return files + [gzip.compress(file) for file in files]


def npz_files() -> list[bytes]:
    stored, packed = io.BytesIO(), io.BytesIO()
    np.savez(stored, **arrays())
    np.savez_compressed(packed, **{name: array[:2] for name, array in arrays().items()})
    return [stored.getvalue(), packed.getvalue()]


def pickles() -> list[bytes]:
    images, labels, *_ = arrays(2).values()
    pair = (images.reshape(2, 784).astype(np.float32) / 256, labels.astype(np.int64))
    files = [pickle.dumps((pair, pair, pair), protocol) for protocol in range(6)]
    files.append(gzip.decompress((ROOT / "tests/data/small_python2.pkl.gz").read_bytes())[:20_000])
    return files + [gzip.compress(file) for file in files]


def pictures() -> list[bytes]:
    files = []
    for kind in FORMATS:
        for mode in ("L", "RGB", "RGBA", "P", "1", "I;16"):
            file = io.BytesIO()
            with contextlib.suppress(OSError, ValueError, KeyError):  # not every kind has each
                Image.linear_gradient("L").resize((30, 20)).convert(mode).save(file, kind)
                files.append(file.getvalue())
    return files


def read_as(name: str):
    """Reads the bytes as a file of that name."""

    def read(data: bytes, folder: Path) -> object:
        (folder / name).write_bytes(data)
        with harmless():
            return load_mnist(folder / name)

    return read


def read_as_idx(data: bytes, folder: Path) -> object:
    (folder / "idx").write_bytes(data)
    with harmless():
        return read_idx(folder / "idx")


def read_as_picture(data: bytes, folder: Path) -> object:
    with harmless():
        return read_picture(io.BytesIO(data))


@pytest.mark.parametrize(
    ("seeds", "read"),
    [
        (idx_files, read_as_idx),
        (npz_files, read_as("mnist.npz")),
        (pickles, read_as("mnist.pkl")),
        (pictures, read_as_picture),
    ],
    ids=["idx", "npz", "pickle", "picture"],
)
def test_a_damaged_file_is_a_sentence(seeds, read, tmp_path):
    files, outcomes = seeds(), {"read": 0, "refused": 0}

    @fuzzed
    @hypothesis.given(st.integers(0, 1 << 60) | st.binary(max_size=300))
    def every(chance):
        data = chance
        if isinstance(chance, int):
            data = spoilt(files, random.Random(chance))
        try:
            read(data, tmp_path)
            outcomes["read"] += 1
        except (DataError, ClassifyError) as error:
            assert "\n" not in str(error) and 20 < len(str(error)) < 1000
            outcomes["refused"] += 1

    every()
    print(outcomes)
    assert outcomes["refused"] > FUZZ / 10


def test_every_kind_of_picture_is_among_the_seeds():
    kinds = {Image.open(io.BytesIO(file)).format for file in pictures()}
    assert kinds >= set(FORMATS)


# --- bombs ---


def refused(path: Path, content: bytes, match: str) -> None:
    path.write_bytes(content)
    with harmless(), pytest.raises(DataError, match=match) as caught:
        load_mnist(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


ZEROS = gzip.compress(bytes(1 << 29), 1)  # half a GiB


def test_gzip_bombs(tmp_path):
    refused(tmp_path / "a.pkl.gz", ZEROS, r"says it holds 536,870,912 bytes: no MNIST")
    lies = ZEROS[:-4] + (100).to_bytes(4, "little")
    refused(tmp_path / "b.pkl.gz", lies, r"says it holds 268,435,457 bytes|damaged or cut short")
    for key in ("train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (tmp_path / f"{key}.gz").write_bytes(b"")
    header = struct.pack(">HBBIII", 0, 8, 3, 60_000, 2_000, 2_000)
    for body in (bytes(100), bytes(1 << 28)):
        content = gzip.compress(header + body, 1)
        (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
        with harmless(), pytest.raises(DataError, match=r"says it holds 240,000,000,000 bytes"):
            load_mnist(tmp_path)
    honest = struct.pack(">HBBIII", 0, 8, 3, 60_000, 28, 28)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(honest + bytes(1 << 29), 1))
    with harmless(), pytest.raises(DataError, match="longer than its header says"):
        load_mnist(tmp_path)


def test_npz_bombs(tmp_path):
    def archive(content: bytes, tell: int | None = None) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name in arrays():
                zipped.writestr(f"{name}.npy", content)
        data = file.getvalue()
        if tell is not None:  # the sizes in the directory, which is what a reader believes
            data = data.replace(struct.pack("<I", len(content)), struct.pack("<I", tell))
        return data

    def header(shape: tuple[int, ...]) -> bytes:
        file = io.BytesIO()
        facts = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, facts)
        return file.getvalue()

    bomb = archive(header((1 << 28, 1, 1)) + bytes(1 << 28))
    refused(tmp_path / "a.npz", bomb, r"says it holds 1,073,742,336 bytes: no MNIST")
    refused(tmp_path / "b.npz", archive(header((1 << 40,)) + bytes(100)), r"cannot be read as an")
    lies = archive(header((1 << 28, 1, 1)) + bytes(1 << 28), tell=1000)
    refused(tmp_path / "c.npz", lies, r"cannot be read as an")
    shape = header((60_000, 0, 28))
    refused(tmp_path / "d.npz", archive(shape), r"images of shape \(0, 28\)")


def test_pickle_bombs(tmp_path):
    path = tmp_path / "mnist.pkl"
    slots = b"\x80\x02K\x01r" + struct.pack("<I", (1 << 32) - 2) + b"."  # 64 GiB in 11 bytes
    refused(path, slots, "three pairs")
    refused(path, b"\x80\x02]" + b"(" * 10_000_000 + b".", "more than 1,000 instructions")
    slow = b"\x80\x02c_codecs\nencode\nX" + struct.pack("<I", 10**6) + b"x" * 10**6
    refused(path, slow + b"X\x08\0\0\0punycode\x86R.", "as no array does")
    for dtype in (b"b", b"d"):
        much = Noted(_reconstruct, (np.ndarray, (10**10,), dtype))
        pairs = ((much, much),) * 3
        refused(path, pickle.dumps(pairs, 2), "as no array does")
    laughs: object = 0.0
    for _ in range(12):
        laughs = (laughs,) * 10  # 10^12 numbers, if anybody wrote them out
    refused(path, pickle.dumps(((laughs, laughs),) * 3, 2), "which no array needs")


def test_pickles_as_large_as_they_may_be(tmp_path):
    path, large = tmp_path / "mnist.pkl", LARGEST - 10_000
    length = struct.pack("<I", large)
    refused(path, b"X" + length + bytes(large) + b".", "three pairs")
    face = "\N{GRINNING FACE}".encode()  # with it, Python would keep four bytes a character
    refused(path, b"X" + length + bytes(large - len(face)) + face + b".", "which no array needs")
    again = b"X\0\0\0\4" + bytes(1 << 26) + b"q\0c_codecs\nencode\nq\1X\6\0\0\0latin1q\2"
    refused(path, again + b"h\1h\0h\2\x86R" * 150 + b".", "three pairs")
    many, few, one = np.zeros(large // 2, np.uint8), np.zeros(784, np.float32), np.zeros(1, int)
    for pair in ((few, many), (many, one)):  # as int64 or float32 they would need gigabytes
        refused(path, pickle.dumps((pair, (few, one), (few, one))), "more digits than MNIST")
    pairs = [(np.zeros((n, 784), np.float32), np.zeros(n, int)) for n in (50_000, 10_000, 10_000)]
    refused(path, pickle.dumps(pairs, 2), "SHA-256")


def test_a_picture_bomb():
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    sides = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 6, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", sides)
    png += chunk(b"IDAT", gzip.compress(bytes(1 << 24))) + chunk(b"IEND", b"")
    with harmless(), pytest.raises(ClassifyError, match="too large a picture"):
        read_picture(io.BytesIO(png))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])  # with a color and a transparency per pixel
def test_the_largest_picture_that_is_read_needs_less_than_a_gib(kind):
    for side, taken in ((6324, True), (6325, False)):
        file, fast = io.BytesIO(), {"compress_level": 1, "lossless": True, "method": 0}
        Image.new("RGBA", (side, side)).save(file, kind, **fast)
        with harmless():
            try:
                assert read_picture(io.BytesIO(file.getvalue())).shape == (4096, 4096)
                assert taken
            except ClassifyError as error:
                assert "too large a picture" in str(error) and not taken


def test_a_large_photograph_is_read_smaller():
    for sides, read in (((8064, 6048), (3024, 4032)), ((9400, 9400), (2350, 2350))):
        file = io.BytesIO()
        Image.new("RGB", sides, "white").save(file, "JPEG", progressive=True, subsampling=0)
        with harmless():
            assert read_picture(io.BytesIO(file.getvalue())).shape == read


def test_no_other_program_is_asked_to_draw_a_picture():
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nshowpage\n"
    assert Image.open(io.BytesIO(postscript)).format == "EPS"
    with harmless(), pytest.raises(ClassifyError, match="it is not a picture"):
        read_picture(io.BytesIO(postscript))


# --- a digit.onnx from elsewhere: in another process, for that may crash ---

MODELS = """
import random, sys, time
sys.path.insert(0, {tests!r})
import numpy as np
from pathlib import Path
from lenet_keras.ship.classifier import Classifier, ClassifyError
from test_hostile import harmless, spoilt
whole, path = Path({digit!r}).read_bytes(), Path(sys.argv[1])
ink = np.zeros((28, 28), np.uint8)
ink[5:20, 13:16] = 255
counts = {{"answered": 0, "refused": 0}}
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    chance = random.Random(number)
    path.write_bytes(spoilt([whole], chance))
    print(number, file=sys.stderr, flush=True)
    began = time.perf_counter()
    try:
        with harmless():
            Classifier(path, threads=1)(ink)
        counts["answered"] += 1
    except ClassifyError as error:
        assert str(error).endswith("."), error
        counts["refused"] += 1
    assert time.perf_counter() - began < 60
print(counts)
"""


def test_a_damaged_digit_onnx_is_a_sentence(tmp_path):
    code = MODELS.format(tests=str(ROOT / "tests"), digit=str(ROOT / "export/digit.onnx"))
    arguments = [str(tmp_path / "digit.onnx"), "0", str(max(20, FUZZ // 5))]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    print(done.stdout)
