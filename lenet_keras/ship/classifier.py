"""Digits out of pictures, with onnxruntime and NumPy alone: no Keras, no TensorFlow.

>>> classifier = Classifier()
>>> classifier("photo.jpg").label
7
>>> [answer.label for answer in classifier(["a.png", image, array])]
[7, 2, 1]
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, TypeGuard, Union, cast

import numpy as np
import onnxruntime

from lenet_keras.errors import LenetKerasError, in_short

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "FORMATS",
    "Answer",
    "Classifier",
    "ClassifyError",
    "Picture",
    "check_picture",
    "own_model",
    "picture_endings",
    "pictures_in",
    "read_picture",
    "refuse_color",
]

Picture = Union[np.ndarray, "Image", str, os.PathLike, IO[bytes]]

LONGEST_SIDE = 4096  # what digit.onnx is made and tested for
MOST_PIXELS = 40_000_000  # under a GiB with all the copies made on the way
MOST_BYTES = 1 << 27  # of an open file: standard input may have no end
# Of Pillow's formats those that people have digits in. (It hands EPS to another program.)
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "AVIF", "JPEG2000", "TGA")
BATCH_PIXELS = 1 << 20  # pictures of one shape go through the network together, up to this


class ClassifyError(LenetKerasError):
    """A picture or a model file cannot be used."""


class Answer(NamedTuple):
    """What the network says of one picture.

    Attributes:
        label: 0 to 9, the best guess; None where there is no ink.
        probability: of that label.
        probabilities: float32 [10].
        normalized: uint8 [28, 28], the picture as the network saw it.
        has_ink: False for a blank picture, whose probabilities mean nothing.
        is_digit: False for a blank picture, and where the network is less sure than of nearly
            every digit: it may be a letter, or several digits. A file without this output, as
            older ones are, refuses blank pictures alone.
    """

    label: int | None
    probability: float
    probabilities: np.ndarray
    normalized: np.ndarray
    has_ink: bool
    is_digit: bool


class Classifier:
    """A digit.onnx, ready to read. Threads may share one.

    Args:
        model: a ``digit.onnx``; without it, the one that comes with lenet-keras.
        threads: used for one call; 0 leaves it to onnxruntime.

    Raises:
        ClassifyError: the file is missing, damaged, or another kind of model.
    """

    def __init__(self, model: str | os.PathLike[str] | None = None, threads: int = 0) -> None:
        self._arguments = (model, threads)
        self._path = path = Path(model) if model is not None else own_model()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        content = _content(path)
        if model is None:
            _check_digest(path, content)
        try:
            self._session = onnxruntime.InferenceSession(
                content,
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # there is no other provider, and it would print a message
            )
        except Exception:  # onnxruntime's own errors are of many classes
            raise ClassifyError(f"{path} is damaged or not an ONNX model: get it again.") from None
        inputs = [(i.name, i.type, len(i.shape)) for i in self._session.get_inputs()]
        outputs = {output.name for output in self._session.get_outputs()}
        if inputs != [("image", "tensor(uint8)", 3)] or not set(_OUTPUTS) <= outputs:
            takes = ", ".join(name for name, *_ in inputs) or "nothing"
            raise ClassifyError(
                f"{path} is not a digit.onnx: it takes {takes} and gives "
                f"{', '.join(sorted(outputs))}. Use one that `lenet-keras export` made."
            )
        self._outputs = [*_OUTPUTS, "is_digit" if "is_digit" in outputs else "has_ink"]

    def __reduce__(self) -> tuple:
        return Classifier, self._arguments  # another process opens the file for itself

    def __call__(self, pictures: Picture | Iterable[Picture]) -> Answer | list[Answer]:
        """Read one picture or several.

        Args:
            pictures: a picture is a path, an open binary file, a PIL image, or a grey uint8
                array [H, W], ink dark on light or light on dark; several are a uint8 array
                [N, H, W] or any iterable of pictures.

        Returns:
            An ``Answer``, or a list of them in the same order.

        Raises:
            ClassifyError: something is not a picture; a color array among them.
        """
        one = isinstance(pictures, (str, os.PathLike)) or not isinstance(pictures, Iterable)
        one = one or hasattr(pictures, "read")
        if isinstance(pictures, np.ndarray):
            one = pictures.ndim != 3
            if not one:
                refuse_color(pictures.shape)
        several = cast("Iterable[Picture]", [pictures] if one else pictures)
        answers = list(self.stream(several))
        return answers[0] if one else answers

    def stream(self, pictures: Iterable[Picture]) -> Iterator[Answer]:
        """The same for any number of pictures, in constant memory: answers come as they go.

        Raises:
            ClassifyError: something is not a picture.
        """
        for _, answer in self.each(("", picture) for picture in pictures):
            if isinstance(answer, ClassifyError):
                raise answer
            yield answer

    def each(
        self, named: Iterable[tuple[str, Picture]]
    ) -> Iterator[tuple[str, Answer | ClassifyError]]:
        """The same for pictures with names; one that cannot be read gives its error instead.

        Neighbors of the same shape go through the network together, which changes nothing
        but the time.
        """
        batch: list[tuple[str, np.ndarray]] = []
        for name, picture in named:
            try:
                array = _as_array(picture)
            except ClassifyError as error:
                yield from self._answers(batch)
                yield name, error
                batch = []
                continue
            if batch and (
                batch[0][1].shape != array.shape or len(batch) * array.size >= BATCH_PIXELS
            ):
                yield from self._answers(batch)
                batch = []
            batch.append((name, array))
        yield from self._answers(batch)

    def _answers(self, batch: list[tuple[str, np.ndarray]]) -> Iterator[tuple[str, Answer]]:
        if not batch:
            return
        images = np.stack([array for _, array in batch])
        try:
            results = self._session.run(self._outputs, {"image": images})
        except Exception as error:  # onnxruntime's own errors are of many classes
            raise ClassifyError(
                f"{self._path} failed on a picture ({in_short(error)}): get the file again."
            ) from None
        for (name, _), probabilities, label, normalized, has_ink, is_digit in zip(batch, *results):
            yield (
                name,
                Answer(
                    label=int(label) if has_ink else None,
                    probability=float(probabilities[label]),
                    probabilities=probabilities,
                    normalized=normalized,
                    has_ink=bool(has_ink),
                    is_digit=bool(is_digit),
                ),
            )


_OUTPUTS = ["probabilities", "label", "normalized", "has_ink"]


def picture_endings() -> set[str]:
    """How the names of files in FORMATS end: ".png", ".jpg" and so on."""
    from PIL import Image

    return {ending for ending, kind in Image.registered_extensions().items() if kind in FORMATS}


def read_picture(file: str | os.PathLike[str] | IO[bytes]) -> np.ndarray:
    """Read a picture in one of Pillow's FORMATS, as the grey that a person sees.

    Turned as its EXIF data say, transparent parts white, no side longer than 4,096 pixels; of
    a file with several pages or frames the first.

    Args:
        file: a path or an open binary file of up to 128 MiB.

    Returns:
        uint8 [H, W].

    Raises:
        ClassifyError: it cannot be read as a picture.
    """
    from PIL import Image, UnidentifiedImageError

    name: object = file
    if not isinstance(file, (str, os.PathLike)):
        name = getattr(file, "name", "The picture")
        file = _in_memory(file, str(name))
    try:
        with Image.open(file, formats=FORMATS) as image:
            # a JPEG can be unpacked at a half, a quarter, an eighth, no side below this
            size = LONGEST_SIDE
            if image.width * image.height > MOST_PIXELS:
                size //= 2
            image.draft("L", (size, size))
            if image.width * image.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            return _grey(image)
    except UnidentifiedImageError:
        raise ClassifyError(
            f"{name} cannot be read: it is not a picture, or not in one of the formats "
            f"{', '.join(FORMATS)}."
        ) from None
    except Image.DecompressionBombError:
        raise ClassifyError(
            f"{name} is too large a picture: scale it down to {MOST_PIXELS:,} pixels at most."
        ) from None
    except Exception as error:  # a damaged picture can raise anything
        if isinstance(error, OSError) and error.strerror:  # no such file, no permission
            raise ClassifyError(f"{name} cannot be read: {error.strerror}.") from None
        raise ClassifyError(f"{name} is a damaged picture ({in_short(error)}).") from None


def _in_memory(file: IO[bytes], name: str) -> IO[bytes]:
    """A pipe cannot be read twice, which Pillow must, and may have no end."""
    try:
        content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ClassifyError(f"{name} cannot be read: {error.strerror}.") from None
    if len(content) > MOST_BYTES:
        raise ClassifyError(f"{name} is too large a picture: {MOST_BYTES >> 20} MiB can be read.")
    return io.BytesIO(content)


def _grey(image: Image) -> np.ndarray:
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if max(image.size) > LONGEST_SIDE:
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    if image.mode.startswith("I") or image.mode == "F":
        return _bytes_of(np.asarray(image))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("L"))


def _bytes_of(pixels: np.ndarray) -> np.ndarray:
    """Pixels of 16 or 32 bits as bytes; what is white in them, their largest value has to tell."""
    values = np.nan_to_num(pixels.astype(np.float64), posinf=0.0).clip(0)
    largest = values.max(initial=0)
    whites = (1, 255, 65535) if pixels.dtype.kind == "f" else (255, 65535)
    white = next((white for white in whites if largest <= white), largest)
    return np.rint(values * (255 / white)).astype(np.uint8)


def _is_image(picture: object) -> TypeGuard[Image]:
    # without importing Pillow for those who only have arrays
    return hasattr(picture, "getbbox") and hasattr(picture, "convert")


def _as_array(picture: Picture) -> np.ndarray:
    if isinstance(picture, (str, os.PathLike)) or hasattr(picture, "read"):
        return read_picture(cast("str | IO[bytes]", picture))
    if _is_image(picture):
        try:
            picture = _grey(picture)
        except Exception as error:  # of an open file, which may be damaged
            raise ClassifyError(f"The picture is damaged ({in_short(error)}).") from None
    if not isinstance(picture, np.ndarray):
        raise ClassifyError(
            f"A {type(picture).__name__} is not a picture: pass a path, a PIL image or a uint8 "
            "array."
        )
    check_picture(picture)
    return picture


def check_picture(picture: np.ndarray) -> None:
    """Can digit.onnx read this array?

    Raises:
        ClassifyError: it is not uint8 [H, W] with sides of 1 to 4,096 pixels.
    """
    if picture.dtype != np.uint8 or picture.ndim != 2:
        if picture.ndim == 3:
            refuse_color(picture.shape)
        raise ClassifyError(
            "An array must be grey uint8 [H, W] (or [N, H, W] for several), not "
            f"{picture.dtype} {list(picture.shape)}."
        )
    if not 1 <= min(picture.shape) <= max(picture.shape) <= LONGEST_SIDE:
        raise ClassifyError(
            f"A picture has sides of 1 to {LONGEST_SIDE:,} pixels, not {list(picture.shape)}."
        )


def refuse_color(shape: tuple[int, ...]) -> None:
    """An array [H, W, 3] would pass for H pictures of width 3, and answer H times.

    Raises:
        ClassifyError: the last of three sides is 1, 3 or 4, as channels are.
    """
    if len(shape) == 3 and shape[2] in (1, 3, 4):
        raise ClassifyError(
            f"An array {list(shape)} looks like one color picture: pass it as a PIL image "
            "(Image.fromarray), or grey as uint8 [H, W]. Grey pictures that are really this "
            "narrow go in a list."
        )


def pictures_in(folder: str | os.PathLike[str], endings: set[str]) -> list[Path]:
    """Every file below a folder whose name ends so, in order of name; no pipes, no folders.

    Raises:
        ClassifyError: a folder below it cannot be looked into.
    """

    def refuse(error: OSError) -> None:
        raise ClassifyError(f"{error.filename} cannot be read: {error.strerror}.") from None

    walk = os.walk(folder, onerror=refuse)
    found = (Path(path, name) for path, _, names in walk for name in names)
    return sorted(p for p in found if p.suffix.lower() in endings and p.is_file())


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClassifyError(f"{path} cannot be read: {error.strerror or error}.") from None


def _check_digest(path: Path, content: bytes) -> None:
    """A damaged weight gives wrong answers without an error; only a digest tells."""
    sums = _content(path.with_name("SHA256SUMS")).decode()
    expected = {name: digest for digest, name in (line.split() for line in sums.splitlines())}
    if hashlib.sha256(content).hexdigest() != expected.get(path.name):
        raise ClassifyError(f"{path} is damaged: install lenet-keras again.")


def own_model() -> Path:
    """The digit.onnx that comes with lenet-keras."""
    package = Path(__file__).parent.parent
    installed = package / "export" / "digit.onnx"
    return installed if installed.exists() else package.parent / "export" / "digit.onnx"
