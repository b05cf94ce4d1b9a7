"""The tutorial's ``mnist.pkl.gz``, read without running it.

A pickle is a program for a small machine with a stack. Most of its instructions put a number or a
string there, or join the topmost few to a tuple; but REDUCE calls whatever function the file has
named, and BUILD hands an object whatever state the file has for it. ``pickle.loads`` does what
they say, so whoever wrote the file decides what your computer does. A list of functions that may be
called is no cure: NumPy's own, with a forged description of a number, write far outside an array.

So nothing is called here. The pickle of an array is always made of the same few instructions. This
module follows them on a stack of its own, where a function is only a name and an array only a
note of its bytes, kind of number and shape. At the end the notes are checked, and only then does
NumPy see the bytes. Any other instruction, name or argument is refused.
"""

from __future__ import annotations

import codecs
import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lenet_keras.storage.reading import LARGEST, DataError, read_whole

# The tutorial's six arrays take 150 to 270 instructions, depending on who wrote the pickle.
MOST_INSTRUCTIONS = 1000
# Where an argument ends with its line, it is a number, a name, or a string too short to be MNIST.
LONGEST_NUMBER, LONGEST_NAME, LONGEST_STRING = 20, 100, 1 << 24
MOST_AXES = 4


def read_pickled_pairs(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Read three pairs (images, labels) of arrays of numbers, without running the pickle.

    Args:
        path: a pickle of protocol 0 to 5, by Python 2 or 3, plain or gzipped.

    Returns:
        Three pairs of read-only arrays, with the shapes (at most four axes), numbers (f2 to f8,
        u1 to u8, i1 to i8) and byte orders that the file gives them.

    Raises:
        DataError: the file is missing, damaged, too large, or not a pickle of three such pairs.
    """
    try:
        content = _Machine(read_whole(path)).run()
    except ValueError as error:
        raise DataError(f"{path} is not a pickle of arrays alone: {error}.") from None
    try:
        match content:
            case [[_, _], [_, _], [_, _]]:
                pairs = [(_as_array(images), _as_array(labels)) for images, labels in content]
            case _:
                raise ValueError("it holds something else")
    except ValueError as error:
        raise DataError(
            f"{path} does not hold the tutorial's three pairs of images and labels: {error}."
        ) from None
    return pairs


# --- what stands for a function, a kind of number, an array ------------------------------

# On the stack a str is one of these names; the file's own strings are bytes there.
NAMES = {
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.numeric._frombuffer",
    "_codecs.encode",  # how Python 3 writes bytes for a Python 2 reader
    "__builtin__.bytes",  # and how it writes none at all
}
NUMBERS = {b"f2", b"f4", b"f8", b"u1", b"u2", b"u4", b"u8", b"i1", b"i2", b"i4", b"i8"}
# What a dtype's state says of a mere number: no parts, no fields, its own size, no flags.
PLAIN = [None, None, None, -1, -1, 0]


@dataclass(eq=False)
class _Dtype:
    """A kind of number, such as ``f4``; BUILD adds the order of its bytes."""

    number: bytes
    order: bytes = b""


@dataclass(eq=False)
class _Array:
    """What the pickle says of an array; after ``_reconstruct`` it is BUILD that says it."""

    data: bytes = b""
    dtype: _Dtype | None = None
    shape: tuple = ()
    fortran: bool = False


def _name(module: object, name: object) -> str:
    if not isinstance(module, bytes) or not isinstance(name, bytes):
        raise ValueError("it names something with something that is not a string")
    named = f"{module[:LONGEST_NAME].decode('latin1')}.{name[:LONGEST_NAME].decode('latin1')}"
    plain = named.replace("numpy._core.", "numpy.core.")  # NumPy 2 renamed it
    if plain not in NAMES:
        raise ValueError(f"it asks for {named[:80]!a}, which no array needs")
    return plain


def _call(function: object, arguments: object) -> object:
    """REDUCE: what stands for the result, if it is one of the calls that make an array."""
    match function, arguments:
        case "numpy.core.multiarray._reconstruct", ("numpy.ndarray", (0,), b"b"):
            return _Array()
        case "numpy.core.numeric._frombuffer", (bytes(data), _Dtype() as kind, tuple(shape), order):
            if order in (b"C", b"F"):
                return _Array(data, kind, shape, fortran=order == b"F")
        case "numpy.dtype", (bytes(number), 0, 1) if number in NUMBERS:
            return _Dtype(number)
        case "_codecs.encode", (bytes(data), b"latin1"):
            return data  # text is kept as latin1 from the start
        case "__builtin__.bytes", ():
            return b""
    called = function if isinstance(function, str) else "something that is not a function"
    raise ValueError(f"it calls {called} as no array does")


def _build(note: object, state: object) -> None:
    """BUILD: add to a note the order of a number's bytes, or all of an array; each once."""
    match note, state:
        case _Dtype(order=b""), (3, b"<" | b">" | b"|" as order, *rest) if rest == PLAIN:
            note.order = order
        case _Array(dtype=None), (1, tuple(shape), _Dtype() as dtype, int(fortran), bytes(data)):
            note.data, note.dtype, note.shape, note.fortran = data, dtype, shape, bool(fortran)
        case _:
            raise ValueError("it describes an array or its numbers as NumPy does not")


def _as_array(noted: object) -> np.ndarray:
    """The array that a note describes, if the note agrees with itself."""
    if not isinstance(noted, _Array) or noted.dtype is None:
        raise ValueError("something in it is not an array of numbers")
    number, order = noted.dtype.number, noted.dtype.order
    size = int(number[1:])
    if order not in (b"<", b">") and (order, size) != (b"|", 1):
        raise ValueError("an array's numbers have no order of bytes")
    if len(noted.shape) > MOST_AXES or not all(
        type(length) is int and 0 <= length <= LARGEST for length in noted.shape
    ):
        raise ValueError("an array's shape is not one that MNIST's arrays have")
    if math.prod(noted.shape) * size != len(noted.data):
        raise ValueError("an array has more or fewer bytes than its shape needs")
    array = np.frombuffer(noted.data, np.dtype((order + number).decode()))
    return array.reshape(noted.shape, order="F" if noted.fortran else "C")


# --- what follows an instruction in the file ---------------------------------------------


class _Source:
    """The bytes of a pickle, and how far they are read."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, length: int) -> memoryview:
        if length > len(self.data) - self.at:
            raise ValueError("it is cut short")
        self.at += length
        return memoryview(self.data)[self.at - length : self.at]

    def number(self, size: int, signed: bool = False) -> int:
        """An integer of so many bytes."""
        return int.from_bytes(self.take(size), "little", signed=signed)

    def string(self, size: int) -> bytes:
        """A string, after its length in so many bytes."""
        return bytes(self.take(self.number(size)))

    def text(self, size: int) -> bytes:
        """A text, after its length in so many bytes: as latin1, for it is an array's bytes."""
        utf8 = self.take(self.number(size))
        # latin1's characters start with at most C3; others can take four times the memory
        if len(utf8) and np.frombuffer(utf8, np.uint8).max() > 0xC3:
            raise ValueError("it has characters of other alphabets, which no array needs")
        return str(utf8, "utf-8").encode("latin1")

    def line(self, longest: int) -> bytes:
        end = self.data.find(b"\n", self.at, self.at + longest + 1)
        if end < 0:
            raise ValueError("a line in it is too long or cut short")
        line, self.at = self.data[self.at : end], end + 1
        return line

    def number_line(self) -> int:
        return int(self.line(LONGEST_NUMBER).removesuffix(b"L"))  # so Python 2 writes a long one

    def text_line(self) -> bytes:
        return str(self.line(LONGEST_STRING), "raw-unicode-escape").encode("latin1")

    def string_line(self) -> bytes:
        line = self.line(LONGEST_STRING)
        quote, string = line[:1], line[1:-1]
        if quote not in (b"'", b'"') or line != quote + string + quote:
            raise ValueError("a string in it has no quotes")
        if re.search(rb"\\[^'\"nrtx]", string.replace(rb"\\", b"")):
            raise ValueError("a string in it has an escape that Python 2 does not write")
        return codecs.escape_decode(string)[0]


INSTRUCTIONS = {ord(each.code): each.name for each in pickletools.opcodes}
# Those that put on the stack what follows them.
VALUES: dict[str, Callable[[_Source], object]] = {
    "NONE": lambda source: None,
    "NEWTRUE": lambda source: True,
    "NEWFALSE": lambda source: False,
    "INT": _Source.number_line,
    "LONG": _Source.number_line,
    "LONG1": lambda source: source.number(source.number(1), signed=True),
    "BININT": lambda source: source.number(4, signed=True),
    "BININT1": lambda source: source.number(1),
    "BININT2": lambda source: source.number(2),
    "STRING": _Source.string_line,
    "BINSTRING": lambda source: source.string(4),
    "SHORT_BINSTRING": lambda source: source.string(1),
    "BINBYTES": lambda source: source.string(4),
    "SHORT_BINBYTES": lambda source: source.string(1),
    "BINBYTES8": lambda source: source.string(8),
    "BYTEARRAY8": lambda source: source.string(8),
    "UNICODE": _Source.text_line,
    "BINUNICODE": lambda source: source.text(4),
    "SHORT_BINUNICODE": lambda source: source.text(1),
    "BINUNICODE8": lambda source: source.text(8),
    "GLOBAL": lambda source: _name(source.line(LONGEST_NAME), source.line(LONGEST_NAME)),
    "EMPTY_TUPLE": lambda source: (),
    "EMPTY_LIST": lambda source: [],
}


# --- the machine -------------------------------------------------------------------------


class _Machine:
    """The program, its stack, and the values that it remembers under a number."""

    def __init__(self, data: bytes) -> None:
        self.source = _Source(data)
        self.stack: list[object] = []
        self.below: list[list[object]] = []  # the stacks that MARK has laid aside
        self.memo: dict[int, object] = {}

    def run(self) -> object:
        """Follow the instructions up to STOP, and return the value they leave."""
        for _ in range(MOST_INSTRUCTIONS):
            code = self.source.number(1)
            name = INSTRUCTIONS.get(code, f"{code:#04x}")
            if name == "STOP":
                return self.pop()
            if name in VALUES:
                self.push(VALUES[name](self.source))
            else:
                self.step(name)
        raise ValueError(f"it has more than {MOST_INSTRUCTIONS:,} instructions")

    def step(self, name: str) -> None:
        """Follow one instruction that works with what is on the stack or remembered."""
        match name:
            case "PROTO":
                self.source.take(1)
            case "FRAME":
                self.source.take(8)  # how much to read at a time; it is all here
            case "MARK":
                self.below.append(self.stack)
                self.stack = []
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                last = [self.pop() for _ in range(int(name[-1]))]
                self.push(tuple(reversed(last)))
            case "TUPLE":
                self.push(tuple(self.pop_to_mark()))
            case "LIST":
                self.push(self.pop_to_mark())
            case "APPEND":
                self.extend([self.pop()])
            case "APPENDS":
                self.extend(self.pop_to_mark())
            case "STACK_GLOBAL":
                attribute, module = self.pop(), self.pop()
                self.push(_name(module, attribute))
            case "REDUCE":
                arguments, function = self.pop(), self.pop()
                self.push(_call(function, arguments))
            case "BUILD":
                state = self.pop()
                _build(self.top(), state)
            case "PUT" | "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                self.memo[self.key(name)] = self.top()
            case "GET" | "BINGET" | "LONG_BINGET":
                self.push(self.recall(self.key(name)))
            case _:
                raise ValueError(f"it has the instruction {name}, which no array needs")

    def push(self, value: object) -> None:
        self.stack.append(value)

    def top(self) -> object:
        if not self.stack:
            raise ValueError("it takes from an empty stack")
        return self.stack[-1]

    def pop(self) -> object:
        value = self.top()
        del self.stack[-1]
        return value

    def pop_to_mark(self) -> list[object]:
        if not self.below:
            raise ValueError("it looks for a mark that is not there")
        above, self.stack = self.stack, self.below.pop()
        return above

    def extend(self, values: list[object]) -> None:
        target = self.top()
        if not isinstance(target, list):
            raise ValueError("it appends to something that is not a list")
        target.extend(values)

    def key(self, name: str) -> int:
        """The number under which this instruction remembers or recalls."""
        if name == "MEMOIZE":
            return len(self.memo)
        if name in ("PUT", "GET"):
            return self.source.number_line()
        return self.source.number(4 if name.startswith("LONG") else 1)

    def recall(self, key: int) -> object:
        if key not in self.memo:
            raise ValueError("it recalls what it has not remembered")
        return self.memo[key]
