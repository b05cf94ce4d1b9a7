"""Train a network by a recipe, and keep everything about it in one folder."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lenet_keras.checkpoint import Checkpoint, variables_of
from lenet_keras.data import Mnist, Split, load_mnist
from lenet_keras.devices import alone, building_on, check_devices, fitting_on
from lenet_keras.distortion import Distort
from lenet_keras.errors import LenetKerasError, in_short
from lenet_keras.figures import learning_curve
from lenet_keras.files import only_writer, whole_file
from lenet_keras.model import build_lenet5
from lenet_keras.patience import PatienceStopping, Validation, validation_frequency
from lenet_keras.recipe import TUTORIAL, Recipe

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = [
    "Run",
    "RunError",
    "evaluate_lenet5",
    "load_model",
    "load_record",
    "train",
    "wilson_interval",
    "zero_one_loss",
]

HISTORY_COLUMNS = ("epoch", "iteration", "cost", "validation_error", "test_error", "seconds")


class RunError(LenetKerasError):
    """A training or a model file failed."""


@dataclass(frozen=True)
class Run:
    """A finished training.

    folder: holds model.keras, history.csv, run.json and curve.png.
    model: with its best weights.
    record: what run.json says.
    """

    folder: Path
    model: keras.Model
    record: dict


def zero_one_loss(model: keras.Model, split: Split) -> float:
    """The fraction of a split's digits that the model gets wrong, every digit counted once.

    Args:
        model: uint8 [N, 28, 28] to logits [N, 10].
        split: any number of digits; the last minibatch may be smaller.

    Returns:
        A fraction from 0 to 1.
    """
    logits = model.predict(split.images, batch_size=500, verbose=0)
    return float(np.mean(logits.argmax(axis=1) != split.labels))


def wilson_interval(errors: int, n: int) -> tuple[float, float]:
    """Where the true error lies, with 95 % confidence, if ``errors`` of ``n`` were wrong.

    Wilson, "Probable inference, the law of succession, and statistical inference" (1927).

    Args:
        errors: how many were wrong.
        n: of how many, at least 1.

    Returns:
        The lower and the upper bound, in percent.
    """
    z = 1.959964  # the normal distribution's 97.5 % point
    p = errors / n
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 100 / (1 + z * z / n)
    return (max(0.0, scale * (centre - spread)), min(100.0, scale * (centre + spread)))


def train(
    recipe: Recipe,
    mnist: Mnist,
    run_dir: str | os.PathLike[str],
    *,
    resume: bool = False,
    tensorboard: bool = False,
    devices: int = 1,
    on_validation: Callable[[Validation], None] | None = None,
) -> Run:
    """Train LeNet by a recipe, print the tutorial's report, and fill a run folder.

    The folder gets ``history.csv`` (a row per validation, errors in percent, seconds since
    training began, written as training goes on) and ``checkpoint.npz`` (where training stands
    after each epoch); then ``model.keras`` (the weights of the best validation), ``curve.png``
    and, last, in the place of the checkpoint, ``run.json`` (recipe, data and digest, versions,
    hardware, times, result). Same recipe, data, versions and machine: the same weights, bit for
    bit, however often the training was killed and resumed.

    Args:
        recipe: every hyperparameter.
        mnist: what to learn; minibatches are taken in its order.
        run_dir: the folder, made if it is not there; must not hold a run.
        resume: go on with the training in the folder, if there is one; if it is finished, it
            is returned as it is.
        tensorboard: also write logs for TensorBoard, into ``run_dir/tensorboard``.
        devices: share every minibatch evenly among the first so many that Keras sees.
        on_validation: called after each validation of this process.

    Returns:
        The run, its model at the best weights.

    Raises:
        RunError: the folder holds a run, or a training that was begun with another recipe or
            other data; the cost became NaN; or TensorBoard is missing.
        DeviceError: there are fewer devices, or they cannot share a minibatch evenly.
        CheckpointError: the checkpoint cannot be read.
        FileError: a file cannot be written, or another process trains into the folder.
        OSError: the folder cannot be made.
    """
    folder = Path(run_dir)
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise RunError("TensorBoard is not installed: pip install 'lenet-keras[tensorboard]'.")
    check_devices(devices, recipe.batch_size, len(mnist.train.labels))
    folder.mkdir(parents=True, exist_ok=True)
    with only_writer(folder):
        for left in folder.glob(".partial-*"):  # by a process that was killed as it wrote
            left.unlink()
        of = {
            "recipe": dataclasses.asdict(recipe),
            "digest": mnist.digest,
            "backend": keras.backend.backend(),
            "devices": devices,
        }
        of = json.loads(json.dumps(of))  # as it will be read: a tuple is a list
        if (folder / "run.json").exists():
            if not resume:
                raise RunError(f"{folder} already holds a finished run: choose another folder.")
            record = load_record(folder)
            there = {
                "recipe": record["recipe"],
                "digest": record["data"]["digest"],
                "backend": record["versions"]["backend"],
                "devices": record["devices"],
            }
            _same_training(of, there, folder)
            print(f"{folder} already holds this training, finished.")
            return Run(folder, load_model(folder), record)
        checkpoint = None
        if (folder / "checkpoint.npz").exists():
            if not resume:
                raise RunError(
                    f"{folder} holds a training that did not finish: resume it (--resume), or "
                    "choose another folder."
                )
            checkpoint = Checkpoint.load(folder / "checkpoint.npz")
            _same_training(of, checkpoint.of, folder)
        return _train(recipe, mnist, folder, of, checkpoint, tensorboard, on_validation)


def _same_training(asked: dict, there: dict, folder: Path) -> None:
    # what older runs did not write down was as Recipe has it by default
    recipe = json.loads(json.dumps(dataclasses.asdict(Recipe()))) | there["recipe"]
    differ = [name for name in recipe if recipe[name] != asked["recipe"].get(name)]
    if asked["digest"] != there["digest"]:
        differ.append("the data")
    differ += [name for name in ("backend", "devices") if asked[name] != there[name]]
    if differ:
        raise RunError(
            f"{folder} holds another training ({', '.join(differ)} differ): resume it as it was "
            "begun, or choose another folder."
        )


def _train(
    recipe: Recipe,
    mnist: Mnist,
    folder: Path,
    of: dict,
    checkpoint: Checkpoint | None,
    tensorboard: bool,
    on_validation: Callable[[Validation], None] | None,
) -> Run:
    """The training itself, from the start or from a checkpoint."""
    # In a terminal Keras draws its progress bar; a log gets the report lines alone.
    verbose = 1 if sys.stdout.isatty() else 0
    history = list(checkpoint.history) if checkpoint else []

    def elapsed() -> float:
        return time.perf_counter() - began

    def report(validation: Validation) -> None:
        minibatch = f"{validation.minibatch_index}/{validation.n_train_batches}"
        where = f"epoch {validation.epoch}, minibatch {minibatch}"
        lines = [f"{where}, validation error {100 * validation.validation_error:f} %"]
        if validation.test_error is not None:
            lines += [f"     {where}, test error of best model {100 * validation.test_error:f} %"]
        # Wipe the half-drawn progress bar; Keras draws it again below these lines.
        print("\r\x1b[K" * verbose + "\n".join(lines), flush=True)
        if not math.isfinite(validation.cost):
            raise RunError(
                f"The cost was {validation.cost} in epoch {validation.epoch}: "
                f"learning_rate={recipe.learning_rate} is too large."
            )
        history.append((validation, elapsed()))
        with whole_file(folder / "history.csv") as path, open(path, "w", newline="") as file:
            rows = [_history_row(*each) for each in history]
            csv.writer(file).writerows([HISTORY_COLUMNS, *rows])
        if on_validation:
            on_validation(validation)

    print("... building the model", flush=True)
    # scored and kept in float32, as it will be used, whatever it is trained in
    model = initial_model(dataclasses.replace(recipe, precision="float32"))
    n_train_batches = math.ceil(len(mnist.train.labels) / recipe.batch_size)
    with building_on(of["devices"]):
        trained = initial_model(recipe)
        learner = compiled(trained, recipe, n_train_batches)

    latest: deque[list[np.ndarray]] = deque(maxlen=recipe.averaged)
    best_weights = model.get_weights()
    first_epoch = 0
    if checkpoint:
        first_epoch = history[-1][0].epoch
        latest.extend(checkpoint.latest)
        best_weights = checkpoint.best
        for variable, value in zip(variables_of(learner), checkpoint.variables, strict=True):
            variable.assign(value)

    def validate_model(_: keras.Model) -> float:
        latest.append(trained.get_weights())
        model.set_weights([np.mean(each, axis=0) for each in zip(*latest)])
        with alone():
            return zero_one_loss(model, mnist.valid)

    def test_model(_: keras.Model) -> float:
        nonlocal best_weights
        best_weights = model.get_weights()  # the test set is asked about a new best only
        with alone():
            return zero_one_loss(model, mnist.test)

    def save(epoch: int, _: dict | None) -> None:
        if epoch + 1 == recipe.n_epochs or learner.stop_training:
            return  # it is over: what is left takes no time
        variables = [np.asarray(variable) for variable in variables_of(learner)]
        whole = Checkpoint(of, history, variables, list(latest), best_weights)
        whole.save(folder / "checkpoint.npz")

    stopping = PatienceStopping(
        validate_model=validate_model,
        test_model=test_model,
        patience=recipe.patience,
        patience_increase=recipe.patience_increase,
        improvement_threshold=recipe.improvement_threshold,
        on_validation=report,
        earlier=[validation for validation, _ in history],
    )
    callbacks = [stopping, keras.callbacks.LambdaCallback(on_epoch_end=save)]
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard"))
    print(f"... training{f', from epoch {first_epoch + 1} on' * bool(first_epoch)}", flush=True)
    began = time.perf_counter() - (history[-1][1] if history else 0.0)
    with fitting_on(of["devices"]):
        learner.fit(
            minibatches(mnist.train, recipe, first_epoch),
            initial_epoch=first_epoch,
            epochs=recipe.n_epochs,
            steps_per_epoch=n_train_batches,
            shuffle=False,  # the stream is in order
            verbose=verbose,
            callbacks=callbacks,
        )
    seconds = elapsed()
    model.set_weights(best_weights)

    result: dict[str, Any] = {
        "best_validation_error": _percent(stopping.best_validation_error),
        "best_iteration": stopping.best_iteration,
        "test_error": _percent(stopping.test_error),
    }
    print("Optimization complete.")
    print(
        f"Best validation score of {result['best_validation_error']:f} % obtained at iteration "
        f"{result['best_iteration']}, with test performance {result['test_error']:f} %"
    )
    print(f"The code ran for {seconds / 60:.2f}m", file=sys.stderr)

    validations = [validation for validation, _ in history]
    record = {
        "recipe": dataclasses.asdict(recipe),
        "data": {
            "name": mnist.name,
            "source": mnist.source,
            "digest": mnist.digest,
            "train": len(mnist.train.labels),
            "valid": len(mnist.valid.labels),
            "test": len(mnist.test.labels),
        },
        "seeds": {
            "weights": recipe.seed,
            "order": recipe.seed if recipe.shuffle else "as the data",
        },
        "versions": _versions(),
        "hardware": _hardware(),
        "devices": of["devices"],
        "wall_seconds": round(seconds, 2),
        "epochs": validations[-1].epoch,
        "iterations": stopping.stopped_iteration or validations[-1].iteration,
        "stopped_by_patience": stopping.stopped_iteration is not None,
        "result": result,
    }
    with whole_file(folder / "model.keras") as path:
        model.save(path)
    with whole_file(folder / "curve.png") as path:
        title = f"{recipe.name} recipe on {'MNIST' if mnist.name == 'mnist' else mnist.source}"
        learning_curve(validations, title).savefig(path, dpi=120)
    text = json.dumps(record, indent=2)
    with whole_file(folder / "run.json") as path:
        path.write_text(text + "\n", encoding="utf-8")
    (folder / "checkpoint.npz").unlink(missing_ok=True)
    return Run(folder, model, json.loads(text))


def evaluate_lenet5(
    learning_rate: float = TUTORIAL.learning_rate,
    n_epochs: int = TUTORIAL.n_epochs,
    dataset: str = "auto",
    nkerns: tuple[int, int] = TUTORIAL.nkerns,
    batch_size: int = TUTORIAL.batch_size,
) -> Run:
    """The tutorial's own entry point, with its signature.

    Args:
        learning_rate: factor for the stochastic gradient.
        n_epochs: maximal number of epochs to run the optimizer.
        dataset: what ``load_mnist`` takes, the tutorial's ``mnist.pkl.gz`` among others.
        nkerns: number of kernels on each layer.
        batch_size: digits in a minibatch.

    Returns:
        The run, in a new folder under ``runs/``.

    Raises:
        RecipeError: a number cannot be.
        DataError: there are no such data.
        RunError: the cost became NaN.
    """
    recipe = dataclasses.replace(
        TUTORIAL,
        learning_rate=learning_rate,
        n_epochs=n_epochs,
        nkerns=(nkerns[0], nkerns[1]),
        batch_size=batch_size,
    )
    return train(recipe, load_mnist(dataset), new_run_dir(recipe))


def initial_model(recipe: Recipe) -> keras.Model:
    """The recipe's network with its initial weights; every later chance is seeded too."""
    keras.utils.set_random_seed(recipe.seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # every sum in a fixed order, whichever thread is faster
        tf.config.experimental.enable_op_determinism()
    policy = keras.config.dtype_policy()
    mixed = recipe.precision != "float32"
    keras.config.set_dtype_policy(f"mixed_{recipe.precision}" if mixed else "float32")
    try:
        return build_lenet5(
            recipe.nkerns, recipe.n_hidden, recipe.seed, recipe.activation, recipe.dropout
        )
    finally:
        keras.config.set_dtype_policy(policy)


def compiled(model: keras.Model, recipe: Recipe, n_train_batches: int) -> keras.Model:
    """What ``fit`` is called on: the model itself, or the model behind its distortions.

    Args:
        model: from ``initial_model``; it is trained in place.
        recipe: the optimizer and its schedule, the distortion.
        n_train_batches: minibatches in an epoch; the schedule and the validations count them.
    """
    rate = recipe.learning_rate
    if recipe.schedule == "cosine":
        fall = max(1, (recipe.n_epochs - 1) * n_train_batches)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, fall, warmup_target=rate, warmup_steps=n_train_batches
        )
    optimizer = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}[recipe.optimizer]
    learner = model
    if recipe.distortion:
        learner = keras.Sequential([Distort(recipe.distortion, recipe.seed), model])
    at_once = math.gcd(n_train_batches, validation_frequency(n_train_batches, recipe.patience))
    if keras.backend.backend() == "torch":
        at_once = 1  # Keras on it knows no other
    learner.compile(
        optimizer=optimizer(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # Python looks on every few minibatches only; a validation never falls between
        steps_per_execution=max(n for n in range(1, 11) if at_once % n == 0),
    )
    return learner


def minibatches(split: Split, recipe: Recipe, first_epoch: int = 0) -> tf.data.Dataset:
    """All minibatches of a training, epoch after epoch, for ``fit`` with ``steps_per_epoch``.

    In the order of the data; or, if the recipe shuffles, in an order for each epoch that depends
    on the seed and the epoch alone.

    Args:
        split: stays in memory as it is; a minibatch is looked up in it by its rows' numbers.
        recipe: batch_size, n_epochs, shuffle, seed.
        first_epoch: how many epochs are behind us.

    Returns:
        Pairs of uint8 [batch_size, 28, 28] and int64 [batch_size].
    """
    import tensorflow as tf

    images, labels = tf.constant(split.images), tf.constant(split.labels)
    rows = tf.range(len(split.labels))

    def rows_of(epoch: tf.Tensor) -> tf.data.Dataset:
        order = rows
        if recipe.shuffle:
            order = tf.random.experimental.stateless_shuffle(rows, seed=[recipe.seed, epoch])
        return tf.data.Dataset.from_tensor_slices(order).batch(recipe.batch_size)

    def look_up(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(images, rows), tf.gather(labels, rows)

    options = tf.data.Options()
    # the end of a data set waits for the thread that tunes it, which may sleep for seconds more
    options.autotune.enabled = False
    epochs = tf.data.Dataset.range(first_epoch, recipe.n_epochs)
    return epochs.flat_map(rows_of).map(look_up).prefetch(2).with_options(options)


def new_run_dir(recipe: Recipe) -> Path:
    """A folder that no run has used: runs/<recipe>-<date>-<time>."""
    return Path("runs", f"{recipe.name.replace(' ', '-')}-{datetime.now():%Y%m%d-%H%M%S}")


def load_model(path: str | os.PathLike[str]) -> keras.Model:
    """Load a ``model.keras``, or the one in a run folder, in Keras's safe mode.

    Raises:
        RunError: there is none, it cannot be read, or it is another network.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "model.keras"
    if not path.exists():
        raise RunError(f"There is no model at {path}: name a run folder or a .keras file.")
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a damaged file can raise anything
        raise RunError(f"{path} cannot be read as a Keras model ({in_short(error)}).") from None
    shapes = [getattr(model, f"{side}_shape", None) for side in ("input", "output")]
    if shapes != [(None, 28, 28), (None, 10)]:
        raise RunError(
            f"{path} is another network: it makes {shapes[1]} of {shapes[0]}, "
            "where LeNet makes (None, 10) of (None, 28, 28)."
        )
    missing = {"conv1", "conv2", "hidden", "logits"} - {layer.name for layer in model.layers}
    if missing:
        raise RunError(f"{path} is another network: it has no layer {sorted(missing)[0]}.")
    return model


def load_record(run_dir: str | os.PathLike[str]) -> dict:
    """What a finished run's run.json says.

    Raises:
        RunError: there is none, or it cannot be read.
    """
    path = Path(run_dir) / "run.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        # what else it says is ours to write and nobody's to rely on
        whole = {"recipe", "data", "versions", "result"} <= set(record)
    except OSError:
        raise RunError(f"There is no {path}: name the folder of a finished run.") from None
    except (ValueError, TypeError) as error:
        raise RunError(f"{path} cannot be read ({in_short(error)}).") from None
    if not whole:
        raise RunError(f"{path} is no run's: it says nothing of its recipe, data or result.")
    return {"devices": 1} | record  # older runs had no other number


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else round(100 * fraction, 6)


def _history_row(v: Validation, seconds: float) -> tuple:
    errors = (_percent(v.validation_error), _percent(v.test_error))
    return (v.epoch, v.iteration, round(v.cost, 8), *errors, round(seconds, 2))


def _versions() -> dict[str, str]:
    backend = keras.backend.backend()
    versions = {"python": platform.python_version(), "backend": backend}
    for name in ("lenet-keras", "keras", backend, "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # tensorflow-cpu, say
            versions[name] = importlib.metadata.version(name)
    return versions


def _hardware() -> dict[str, object]:
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line for line in lines if line.startswith("model name")).split(": ")[1]
    devices = []
    with contextlib.suppress(AttributeError):  # Keras on torch lists none
        devices = [str(device) for device in keras.distribution.list_devices()]
    return {"cpu": cpu, "cores": os.cpu_count(), "devices": devices}
