"""From a trained Keras model to ONNX files that need nothing but onnxruntime.

What each takes and gives::

    lenet5.onnx        images uint8 [N, 28, 28] -> probabilities, label
    lenet5-int8.onnx   the same, its weights and feature maps in bytes
    lenet5-float.onnx  image float32 [1, 1, 28, 28] -> probabilities, for runtimes
                       that take little else
    digit.onnx         image uint8 [N, H, W], as it comes
                       -> probabilities, label, normalized, has_ink, is_digit
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import keras
import numpy as np
import onnx
from onnx import helper, numpy_helper

from lenet_keras.data import Mnist, Split
from lenet_keras.model import SIDE
from lenet_keras.run import Record, Run, load_model, load_record
from lenet_keras.ship.graphs import (
    ExportError,
    calibrated_digit_onnx,
    lenet5_float_onnx,
    lenet5_int8_onnx,
    lenet5_onnx,
)
from lenet_keras.ship.parity import Parity, check, parity, session
from lenet_keras.storage.files import whole_file, whole_files

__all__ = ["export", "write_lenet5", "write_onnx"]

N_CALIBRATION = 1_000  # training digits that show the quantizer how large the values get
# Of probabilities, onnxruntime against Keras. Both round: with the tutorial's final weights
# each is up to 1.8e-6 from what float64 gives (a test measures it).
LARGEST_DIFFERENCE = 3e-6
LARGEST_INT8_LOSS = 0.05  # points of test error


def metadata_of(record: Record) -> dict[str, str]:
    """What a file says about itself, from the run.json of its training."""
    data, result = record.data, record.result
    return {
        "recipe": json.dumps(record.recipe.to_dict()),
        "data": f"{data.name} ({data.train} training digits), SHA-256 {data.digest}",
        "validation_error_percent": str(result.best_validation_error),
        "test_error_percent": str(result.test_error),
        "classes": "0 1 2 3 4 5 6 7 8 9",
        "model_author": "The lenet-keras developers",
        "model_license": "MIT",
        "source": "lenet-keras, after the deeplearning.net tutorial convolutional_mlp.py",
    }


def write_onnx(model: onnx.ModelProto, path: Path) -> None:
    """Check a model, then put it at ``path`` in one step: a failed check leaves the old file.

    Raises:
        ExportError: the model fails its check.
        FileError: it cannot be written.
    """
    check(model)
    with whole_file(path) as partial:
        partial.write_bytes(_bytes_of(model))


def _bytes_of(model: onnx.ModelProto) -> bytes:
    return model.SerializeToString(deterministic=True)


def write_lenet5(run: Run) -> Path:
    """The run's own lenet5.onnx, beside its model.keras."""
    path = run.folder / "lenet5.onnx"
    write_onnx(lenet5_onnx(run.model, metadata_of(run.record)), path)
    return path


def export(
    run_dir: Path, to: Path, mnist: Mnist, digit_run: Path | None = None
) -> dict[str, Parity]:
    """Make all four files from a run folder; none is replaced unless all are good.

    Beside them go ``SHA256SUMS``, which ``sha256sum -c`` reads, and ``test_data/``, inputs and
    outputs to try a runtime with.

    Args:
        run_dir: a run folder, with its model.keras and run.json.
        to: where the files go.
        mnist: the data the run was trained on: its training digits calibrate, its test
            digits are what parity is measured on.
        digit_run: the run folder for digit.onnx, if it is another one.

    Returns:
        File name to its parity with the Keras model.

    Raises:
        ExportError: the data are not the run's, or a file fails its check or is further
            from Keras than LARGEST_DIFFERENCE (float32) or LARGEST_INT8_LOSS (int8).
        FileError: one cannot be written; all old ones are unharmed.
        RunError: there is no such run, or it cannot be read.
    """
    model, lenet5 = _network_of(run_dir, mnist)
    digit_keras, _ = _network_of(digit_run or run_dir, mnist)
    about = metadata_of(load_record(digit_run or run_dir))
    digit = calibrated_digit_onnx(digit_keras, mnist.valid, about)
    models = {
        "lenet5.onnx": (model, lenet5),
        "lenet5-int8.onnx": (model, lenet5_int8_onnx(lenet5, mnist.train.images[:N_CALIBRATION])),
        "lenet5-float.onnx": (model, lenet5_float_onnx(lenet5)),
        "digit.onnx": (digit_keras, digit),
    }
    report = {}
    for name, (original, exported) in models.items():
        check(exported)
        report[name] = parity(original, exported, mnist.test)
        about = {entry.key: entry.value for entry in exported.metadata_props}
        error = str(round(report[name].onnx_error, 6))
        helper.set_model_props(exported, about | {"test_error_percent": error})
    loss = report["lenet5-int8.onnx"].onnx_error - report["lenet5.onnx"].onnx_error
    if loss > LARGEST_INT8_LOSS + 1e-9:
        raise ExportError(f"lenet5-int8.onnx loses {loss:.2f} points of test error.")
    to = Path(to)
    made = {name: exported for name, (_, exported) in models.items()}
    files = {to / name: _bytes_of(exported) for name, exported in made.items()}
    sums = "".join(
        f"{sha256(content).hexdigest()}  {path.name}\n" for path, content in files.items()
    )
    files[to / "SHA256SUMS"] = sums.encode()
    whole_files(files | _test_data(made, mnist.test, to / "test_data"))
    return report


def _network_of(run_dir: Path, mnist: Mnist) -> tuple[keras.Model, onnx.ModelProto]:
    """A run's model, and the same as a graph that agrees with it on the test digits."""
    model = load_model(run_dir)
    record = load_record(run_dir)
    if record.data.digest != mnist.digest:
        raise ExportError(
            f"{run_dir} was trained on {record.data.name} with another digest than the data at "
            f"hand ({mnist.name}): name its data with --data."
        )
    lenet5 = lenet5_onnx(model, metadata_of(record))
    exact = parity(model, lenet5, mnist.test)
    if exact.largest_difference > LARGEST_DIFFERENCE or exact.label_mismatches:
        raise ExportError(f"{run_dir}: ONNX differs from the Keras model: {exact}.")
    return model, lenet5


def _test_data(models: dict[str, onnx.ModelProto], split: Split, folder: Path) -> dict[Path, bytes]:
    """Inputs and outputs of each file, laid out as in the ONNX Model Zoo.

    Three sets for each. lenet5 and lenet5-int8: one digit, the first of each class, and pictures
    at the edges of what there is. lenet5-float: a digit, all white, a ramp. digit: the same ten;
    a 7 ten times as large, dark on light; a blank.

    Returns:
        File to its content.
    """
    each_class = split.images[[np.flatnonzero(split.labels == digit)[0] for digit in range(10)]]
    edges = np.zeros((4, SIDE, SIDE), np.uint8)  # all black, all white, one pixel, a ramp
    edges[1], edges[2, 14, 14], edges[3] = 255, 255, np.arange(SIDE) * 9
    as_drawn = 255 - each_class[7:8].repeat(10, axis=1).repeat(10, axis=2)
    inputs = {
        "lenet5": (split.images[:1], each_class, edges),
        "lenet5-int8": (split.images[:1], each_class, edges),
        "lenet5-float": [
            one.astype(np.float32)[None, None] for one in (split.images[0], edges[1], edges[3])
        ],
        "digit": (each_class, as_drawn, np.full((1, 60, 40), 255, np.uint8)),
    }
    contents = {}
    for model, sets in inputs.items():
        run = session(models[f"{model}.onnx"], threads=1)
        (feed,), names = run.get_inputs(), [output.name for output in run.get_outputs()]
        for i, images in enumerate(sets):
            named = {"input_0": (feed.name, images)}
            for k, value in enumerate(run.run(names, {feed.name: images})):
                named[f"output_{k}"] = (names[k], value)
            for file, (name, value) in named.items():
                tensor = numpy_helper.from_array(value, name)
                path = folder / model / f"test_data_set_{i}" / f"{file}.pb"
                contents[path] = tensor.SerializeToString()
    return contents
