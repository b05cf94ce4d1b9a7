"""Pickles that go wrong, instruction by instruction, given to the reader of strangers' pickles.

    python tests/random_pickles.py FIRST LAST FOLDER

reads those of these numbers and says how many were read and refused. Anything but arrays or a
DataError ends it, and so does a second of work, much memory, or any deed but opening the file;
FOLDER/number says which pickle it was. test_pickled.py runs this.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import pickle
import pickletools
import random
import struct
import sys
import time
from pathlib import Path

import numpy as np

from lenet_keras.storage.pickled import read_pickled_pairs
from lenet_keras.storage.reading import DataError

HERE = Path(__file__).parent
MEBIBYTE = 1 << 10  # in KiB, as the kernel counts

OPCODES = {each.name: each for each in pickletools.opcodes}
NAMES = {each.code.encode("latin1"): each.name for each in pickletools.opcodes}
USUAL = """
    MARK STOP REDUCE BUILD TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_TUPLE LIST EMPTY_LIST APPEND APPENDS
    NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 STRING BINSTRING SHORT_BINSTRING UNICODE
    BINUNICODE SHORT_BINUNICODE SHORT_BINBYTES BINBYTES BYTEARRAY8 GLOBAL STACK_GLOBAL PUT
    BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET PROTO FRAME SETITEM SETITEMS EMPTY_DICT
    POP DUP
""".split()  # noqa: SIM905 (easier to read)
WORDS = """
    f4 f8 i8 u1 i4 f2 c8 V8 S4 O M8 b1 b < > | = C F K latin1 punycode numpy dtype ndarray
    _reconstruct _frombuffer numpy.core.multiarray numpy._core.multiarray numpy._core.numeric
    _codecs encode __builtin__ builtins bytes eval os system __defaults__ __dict__ a
""".split()  # noqa: SIM905 (easier to read)
GLOBALS = """
    numpy.core.multiarray:_reconstruct numpy._core.multiarray:_reconstruct numpy:ndarray
    numpy:dtype numpy.core.numeric:_frombuffer numpy._core.numeric:_frombuffer _codecs:encode
    __builtin__:bytes builtins:eval os:system numpy:memmap copyreg:_reconstructor
""".split()  # noqa: SIM905 (easier to read)
SIZES = [0, 1, 2, 3, 4, 8, 16, 32, 255, 784, *(1 << n for n in (8, 16, 20, 31, 32, 62))]


# --- parts ---


def number(chance: random.Random) -> int:
    return chance.choice(SIZES) if chance.random() < 0.9 else chance.getrandbits(64)


def content(chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return chance.choice(WORDS).encode()
    return chance.randbytes(chance.choice((0, 1, 8, 16, 32, 32, 300)))


def sized(data: bytes, size: int, chance: random.Random) -> bytes:
    """Data after its length in so many bytes, which lies now and then."""
    length = len(data) if chance.random() < 0.95 else number(chance)
    return (length % (1 << 8 * size)).to_bytes(size, "little") + data


def argument(name: str, chance: random.Random) -> bytes:
    """What may follow an instruction of this name."""
    kind = OPCODES[name].arg.name if OPCODES[name].arg else ""
    size = next((n for n in (1, 2, 4, 8) if kind.endswith(str(n))), 0)
    if kind.startswith(("uint", "int")):
        return (number(chance) % (1 << 8 * size)).to_bytes(size, "little")
    if kind.startswith(("string", "bytes", "bytearray", "long")) and size:
        return sized(content(chance), size, chance)
    if kind.startswith("unicodestring") and size:
        return sized(content(chance).decode("latin1").encode(), size, chance)
    if kind.startswith("decimal"):
        long = "L" if kind == "decimalnl_long" else ""
        return f"{chance.choice((number(chance), -1, '00', '01'))}{long}\n".encode()
    if kind == "stringnl_noescape_pair":
        return chance.choice(GLOBALS).replace(":", "\n").encode() + b"\n"
    if kind == "unicodestringnl":
        return content(chance).decode("latin1").encode("raw-unicode-escape") + b"\n"
    if kind == "stringnl":
        return repr(content(chance))[1:].encode() + b"\n"
    return struct.pack(">d", 0.5) if kind == "float8" else b"0.5\n" if kind else b""


def instruction(chance: random.Random) -> bytes:
    name = chance.choice(USUAL if chance.random() < 0.95 else list(OPCODES))
    return OPCODES[name].code.encode("latin1") + argument(name, chance)


class Noted:
    """Pickles as what is noted: a call, its arguments, a state, and items to set."""

    def __init__(self, *noted: object, items: tuple = ()) -> None:
        self.noted, self.items = noted, items

    def __reduce__(self) -> tuple:
        return (*self.noted, None, iter(self.items)) if self.items else self.noted


def forged(chance: random.Random) -> object:
    """An array whose description is right but for a part or two."""

    def maybe(usual: object, *others: object) -> object:
        return usual if chance.random() < 0.93 else chance.choice(others)

    code = chance.choice(("f4", "f8", "i8", "u1", ">i2", "V8", "S3", "O", "f16"))
    fields = {"a": (np.dtype("f8"), number(chance))}
    state = (
        maybe(3, 2, 4),
        maybe("<", "|", ">", "=", None),
        maybe(None, (np.dtype("f8"), (1000,))),
        maybe(None, ("a",), "a"),
        maybe(None, fields),
        maybe(-1, number(chance)),
        maybe(-1, number(chance)),
        maybe(0, number(chance)),
    )
    dtype = Noted(np.dtype, (maybe(code, None, 8), maybe(False, True), maybe(True, False)), state)
    shape = maybe((1,), (2, 2), (number(chance),), (0, number(chance)), (-1,), ((1,),), [1], 1)
    data = maybe(b"\0" * 8, b"\0" * 4, bytearray(8), "\0" * 8, b"", None, content(chance))
    if chance.random() < 0.3:
        frombuffer, order = np._core.numeric._frombuffer, maybe("C", "F", "K", None)
        return Noted(frombuffer, (data, dtype, shape, order))
    told = (maybe(1, 0, 2), shape, dtype, maybe(False, True, 2, None), data)
    items = ((maybe(0, "a", number(chance)), 1.5),) if chance.random() < 0.2 else ()
    start = (maybe(np.ndarray, np.memmap), maybe((0,), (number(chance),)), maybe(b"b", "f8"))
    return Noted(np._core.multiarray._reconstruct, start, told, items=items)


# --- whole pickles ---


def instructions(data: bytes) -> list[bytes]:
    """A pickle in the pieces that its machine takes one after the other."""
    starts = [at for _, _, at in pickletools.genops(data)]
    return [data[start:end] for start, end in zip(starts, [*starts[1:], None])]


def seeds() -> list[list[bytes]]:
    """Good pickles of three pairs, by Python 2 and this one."""
    x, y = np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.arange(3)
    pairs = ((x, y), (np.asfortranarray(x[0]), y.astype(">u2")), (x[:, :, 0], y[:0]))
    found = [pickle.dumps(pairs, protocol) for protocol in range(6)]
    with open(HERE / "data" / "tiny_python2.pickles", "rb") as file:
        for _ in range(3):
            start = file.tell()
            list(pickletools.genops(file))
            end = file.tell()
            file.seek(start)
            found.append(file.read(end - start))
    return [instructions(each) for each in found]


GOOD = seeds()


def changed(chance: random.Random) -> bytes:
    """A good pickle with instructions left out, doubled, swapped, added, or changed."""
    pieces = list(chance.choice(GOOD))
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        at, other = chance.randrange(len(pieces)), chance.randrange(len(pieces))
        match chance.randrange(7):
            case 0:
                del pieces[at]
            case 1:
                pieces.insert(other, pieces[at])
            case 2:
                pieces[at], pieces[other] = pieces[other], pieces[at]
            case 3:
                pieces.insert(at, instruction(chance))
            case 4:
                name = NAMES.get(pieces[at][:1], "STOP")
                pieces[at] = pieces[at][:1] + argument(name, chance)
            case 5:
                good = chance.choice(GOOD)
                start = chance.randrange(len(good))
                pieces[at:at] = good[start : start + chance.choice((1, 5, 20))]
            case 6:
                pieces[at] = bytes(byte ^ (chance.random() < 0.1) for byte in pieces[at])
        pieces = pieces or [b"."]
    return b"".join(pieces)


def random_pickle(which: int) -> bytes:
    """The pickle of this number, the same each time."""
    chance = random.Random(which)
    kind = chance.random()
    if kind < 0.55:
        data = changed(chance)
    elif kind < 0.85:
        array = forged(chance)
        pairs = ((array, array),) * 3 if kind < 0.8 else array
        data = pickle.dumps(pairs, chance.randrange(6))
    else:
        pieces = [instruction(chance) for _ in range(chance.choice((3, 10, 30, 100)))]
        data = b"".join(pieces) + b"."
    if chance.random() < 0.02:
        data = data[: chance.randrange(len(data) + 1)]
    return gzip.compress(data, 1) if chance.random() < 0.05 else data


# --- the reader, watched ---


def watched(path: Path) -> str:
    """Whether the file is "read" or "refused"; nothing else may come of it."""
    try:
        pairs = read_pickled_pairs(path)
    except DataError as error:
        text = str(error)
        assert str(path) in text and text.isprintable() and 20 < len(text) < 1000, text
        return "refused"
    for array in (array for pair in pairs for array in pair):
        assert array.dtype.kind in "fui" and len(array.tobytes()) == array.nbytes
    return "read"


def peak_memory() -> int:
    """Of this process so far, in KiB, where the kernel tells."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return 0


def main(first: int, last: int, folder: Path) -> None:
    path, outcomes = folder / "any.pkl", {"read": 0, "refused": 0}
    for good in GOOD:  # whatever Python loads when it is first needed, it loads here
        path.write_bytes(gzip.compress(b"".join(good)))
        assert watched(path) == "read"
    deeds: list[tuple] = []
    sys.addaudithook(lambda *deed: deeds.append(deed))
    memory = peak_memory()
    longest, started = 0.0, time.monotonic()
    with open(folder / "number", "wb", buffering=0) as progress:
        for which in range(first, last):
            progress.seek(0)
            progress.write(b"%d\n" % which)
            path.write_bytes(random_pickle(which))
            deeds.clear()
            began = time.process_time()
            outcomes[watched(path)] += 1
            longest = max(longest, time.process_time() - began)
            assert longest < 1, f"{longest} s"
            for event, *arguments in deeds:
                assert event == "open" and arguments[0][1] in ("r", "rb"), (event, arguments)
    memory = peak_memory() - memory
    assert memory < 64 * MEBIBYTE, f"{memory} KiB"
    seconds = time.monotonic() - started
    print(json.dumps(outcomes | {"longest": longest, "memory": memory, "seconds": seconds}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
