"""Digits out of pictures, with onnxruntime and NumPy alone: no Keras, no TensorFlow.

>>> classifier = Classifier()
>>> classifier("photo.jpg").label
7
>>> [answer.label for answer in classifier(["a.png", image, array])]
[7, 2, 1]
"""

from __future__ import annotations

import os
import warnings
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
    "read_picture",
]

Picture = Union[np.ndarray, "Image", str, os.PathLike]

LONGEST_SIDE = 4096  # what digit.onnx is made and tested for
MOST_PIXELS = 40_000_000  # with all the copies of it on the way that is under a GiB
# Of Pillow's formats those that people have digits in. (It gives EPS to another program to run.)
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "AVIF", "JPEG2000", "TGA")
BATCH_PIXELS = 1 << 20  # pictures of one shape go through the network together, up to this


class ClassifyError(LenetKerasError):
    """A picture or a model file cannot be used."""


class Answer(NamedTuple):
    """What the network says of one picture.

    label: 0 to 9; None where there is no ink.
    probability: of that label.
    probabilities: float32 [10].
    normalized: uint8 [28, 28], the picture as the network saw it.
    has_ink: False for a blank picture, whose probabilities mean nothing.
    """

    label: int | None
    probability: float
    probabilities: np.ndarray
    normalized: np.ndarray
    has_ink: bool


class Classifier:
    """A digit.onnx, ready to be asked. Threads may share one.

    Args:
        model: a ``digit.onnx``; without it, the one that comes with lenet-keras.
        threads: for one question; 0 leaves it to onnxruntime.

    Raises:
        ClassifyError: the file is missing, damaged, or another kind of model.
    """

    def __init__(self, model: str | os.PathLike[str] | None = None, threads: int = 0) -> None:
        path = Path(model) if model is not None else own_model()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                path.read_bytes(),
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # there is nothing else to try, and it would print that it does
            )
        except OSError as error:
            raise ClassifyError(f"{path} cannot be read: {error.strerror or error}.") from None
        except Exception:  # onnxruntime's own errors are of many classes
            raise ClassifyError(f"{path} is damaged or no ONNX model: get it again.") from None
        inputs = [(i.name, i.type, len(i.shape)) for i in self._session.get_inputs()]
        outputs = {output.name for output in self._session.get_outputs()}
        if inputs != [("image", "tensor(uint8)", 3)] or not set(_OUTPUTS) <= outputs:
            takes = ", ".join(name for name, *_ in inputs) or "nothing"
            raise ClassifyError(
                f"{path} is no digit.onnx: it takes {takes} and gives "
                f"{', '.join(sorted(outputs))}. Give one that `lenet-keras export` made."
            )

    def __call__(self, pictures: Picture | Iterable[Picture]) -> Answer | list[Answer]:
        """Ask about one picture or several.

        Args:
            pictures: a picture is a path, a PIL image, or a grey uint8 array [H, W], ink dark
                on light or light on dark; several are a uint8 array [N, H, W] or any
                iterable of pictures.

        Returns:
            An ``Answer``, or a list of them in the same order.

        Raises:
            ClassifyError: something is not a picture.
        """
        one = isinstance(pictures, (str, os.PathLike)) or not isinstance(pictures, Iterable)
        one = one or (isinstance(pictures, np.ndarray) and pictures.ndim != 3)
        several = cast("Iterable[Picture]", [pictures] if one else pictures)
        answers = list(self.stream(several))
        return answers[0] if one else answers

    def stream(self, pictures: Iterable[Picture]) -> Iterator[Answer]:
        """The same for any number of pictures, in constant memory: answers come as they go.

        Neighbours of the same shape go through the network together, which changes nothing
        but the time.

        Raises:
            ClassifyError: something is not a picture.
        """
        batch: list[np.ndarray] = []
        for picture in pictures:
            array = _as_array(picture)
            full = batch and len(batch) * batch[0].size >= BATCH_PIXELS
            if full or (batch and batch[0].shape != array.shape):
                yield from self._answers(np.stack(batch))
                batch = []
            batch.append(array)
        if batch:
            yield from self._answers(np.stack(batch))

    def _answers(self, batch: np.ndarray) -> Iterator[Answer]:
        results = self._session.run(_OUTPUTS, {"image": batch})
        for probabilities, label, normalized, has_ink in zip(*results):
            yield Answer(
                label=int(label) if has_ink else None,
                probability=float(probabilities[label]),
                probabilities=probabilities,
                normalized=normalized,
                has_ink=bool(has_ink),
            )


_OUTPUTS = ["probabilities", "label", "normalized", "has_ink"]


def picture_endings() -> set[str]:
    """How the names of files in FORMATS end: ".png", ".jpg" and so on."""
    from PIL import Image

    return {ending for ending, kind in Image.registered_extensions().items() if kind in FORMATS}


def read_picture(file: str | os.PathLike[str] | IO[bytes]) -> np.ndarray:
    """Read a picture in one of Pillow's FORMATS, as the grey that a person sees.

    Turned as its EXIF data say, transparent parts white, no side longer than 4,096 pixels.

    Args:
        file: a path or an open binary file.

    Returns:
        uint8 [H, W].

    Raises:
        ClassifyError: it cannot be read as a picture.
    """
    from PIL import Image, UnidentifiedImageError

    name = file if isinstance(file, (str, os.PathLike)) else getattr(file, "name", "the picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a picture that can be seen all the same
            warnings.simplefilter("error", Image.DecompressionBombWarning)
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
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ClassifyError(
            f"{name} is too large a picture: make it one of {MOST_PIXELS:,} pixels at most."
        ) from None
    except Exception as error:  # a damaged picture can raise anything
        if isinstance(error, OSError) and error.strerror:  # no such file, no permission
            raise ClassifyError(f"{name} cannot be read: {error.strerror}.") from None
        raise ClassifyError(f"{name} is a damaged picture ({in_short(error)}).") from None


def _grey(image: Image) -> np.ndarray:
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if max(image.size) > LONGEST_SIDE:
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    if image.mode.startswith("I"):  # 16 bits a pixel: keep the upper 8
        return (np.asarray(image).clip(0, 65535) // 256).astype(np.uint8)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("L"))


def _is_image(picture: object) -> TypeGuard[Image]:
    # without importing Pillow for those who only have arrays
    return hasattr(picture, "getbbox") and hasattr(picture, "convert")


def _as_array(picture: Picture) -> np.ndarray:
    if isinstance(picture, (str, os.PathLike)):
        return read_picture(picture)
    if _is_image(picture):
        try:
            picture = _grey(picture)
        except Exception as error:  # of an open file, which may be damaged
            raise ClassifyError(f"The picture is damaged ({in_short(error)}).") from None
    if not isinstance(picture, np.ndarray):
        raise ClassifyError(
            f"A {type(picture).__name__} is no picture: give a path, a PIL image or a uint8 array."
        )
    check_picture(picture)
    return picture


def check_picture(picture: np.ndarray) -> None:
    """Can digit.onnx be asked about this array?

    Raises:
        ClassifyError: it is not uint8 [H, W] with sides of 1 to 4,096 pixels.
    """
    if picture.dtype != np.uint8 or picture.ndim != 2:
        raise ClassifyError(
            "An array must be grey uint8 [H, W] (or [N, H, W] for several), not "
            f"{picture.dtype} {list(picture.shape)}."
        )
    if not 1 <= min(picture.shape) <= max(picture.shape) <= LONGEST_SIDE:
        raise ClassifyError(
            f"A picture has sides of 1 to {LONGEST_SIDE:,} pixels, not {list(picture.shape)}."
        )


def own_model() -> Path:
    """The digit.onnx that comes with lenet-keras."""
    package = Path(__file__).parent.parent
    installed = package / "export" / "digit.onnx"
    return installed if installed.exists() else package.parent / "export" / "digit.onnx"
