"""A training and everything about it, in one folder: train, resume, load."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import keras
import numpy as np

from lenet_keras.data import Mnist, load_mnist
from lenet_keras.devices import native_precision
from lenet_keras.errors import in_short
from lenet_keras.figures import learning_curve
from lenet_keras.progress import progress_bar
from lenet_keras.recipe import TUTORIAL, Recipe
from lenet_keras.run.checkpoint import Checkpoint, CheckpointError, Checkpoints, Identity
from lenet_keras.run.history import Bar, History, percent
from lenet_keras.run.record import (
    Data,
    Record,
    Result,
    RunError,
    frameworks,
    hardware,
    load_record,
    versions,
)
from lenet_keras.storage.files import only_writer, whole_file
from lenet_keras.training import Training, TrainingError

__all__ = ["Run", "evaluate_lenet5", "load_model", "new_run_dir", "train"]


@dataclass(frozen=True)
class Run:
    """A finished training.

    folder: holds model.keras, history.csv, run.json and curve.png.
    model: with its best weights.
    record: what run.json says.
    """

    folder: Path
    model: keras.Model
    record: Record


def train(
    recipe: Recipe,
    mnist: Mnist,
    run_dir: str | os.PathLike[str],
    *,
    resume: bool = False,
    devices: int = 1,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    initial_weights: list[np.ndarray] | None = None,
) -> Run:
    """Train LeNet by a recipe, print the tutorial's report, and fill a run folder.

    The folder gets ``history.csv`` (a row per validation, errors in percent, seconds since
    training began, written as training goes on) and ``checkpoint.npz`` (where training stands
    after each epoch); then ``model.keras`` (the weights of the best validation), ``curve.png``
    and, last, in place of the checkpoint, ``run.json`` (recipe, data and digest, versions,
    hardware, times, result). Same recipe, data, versions, devices and machine: the same weights,
    bit for bit, no matter how often the training was killed and resumed.

    Args:
        recipe: every hyperparameter.
        mnist: what to learn; minibatches are taken in its order.
        run_dir: the folder, made if it is not there; must not hold a run.
        resume: resume the training in the folder, if there is one; if it is finished, it is
            returned as it is.
        devices: share every minibatch evenly among the first n devices that Keras sees.
        callbacks: Keras's own or yours; an epoch's logs have its ``validation_error``.
        initial_weights: in place of the recipe's, as ``keras.Model.get_weights`` gives them.

    Returns:
        The run, its model at the best weights.

    Raises:
        RunError: the folder holds a run, or a training with another recipe or other data.
        TrainingError: the cost became NaN.
        DeviceError: there are fewer devices, or they cannot share a minibatch evenly.
        CheckpointError: the checkpoint cannot be read, or does not fit this Keras.
        FileError: a file cannot be written, or another process trains into the folder.
        OSError: the folder cannot be made.
    """
    folder = Path(run_dir)
    if recipe.precision == "auto":  # the record says which it was
        recipe = replace(recipe, precision=native_precision())
    identity = Identity(recipe, mnist.digest, keras.backend.backend())
    folder.mkdir(parents=True, exist_ok=True)
    with only_writer(folder):
        for partial in folder.glob(".partial-*"):  # by a process that was killed as it wrote
            partial.unlink()
        if (folder / "run.json").exists():
            return _finished(folder, identity, resume)
        checkpoint = _checkpoint_in(folder, identity, resume)
        state, seconds = (checkpoint.state, checkpoint.seconds) if checkpoint else (None, [])
        print("... building the model", flush=True)
        try:
            training = Training(
                recipe, mnist, devices=devices, initial_weights=initial_weights, state=state
            )
        except TrainingError as error:
            raise CheckpointError(
                f"{folder / 'checkpoint.npz'} cannot be used: {error} Resume it with the versions "
                "it was written with, or remove it to train from the start."
            ) from None
        history = History(folder, training.stopping, seconds)
        checkpoints = Checkpoints(
            folder / "checkpoint.npz",
            lambda: Checkpoint(identity, training.state(), list(history.seconds), frameworks()),
        )
        first = training.first_epoch
        print(f"... training{f', from epoch {first + 1} on' * bool(first)}", flush=True)
        steps = training.n_train_batches
        with progress_bar(recipe.n_epochs * steps, first * steps) as advance:
            training.fit([history, checkpoints, Bar(advance), *callbacks])
        return _keep(training, folder, devices, history.elapsed())


def _finished(folder: Path, identity: Identity, resume: bool) -> Run:
    """The run that is in the folder already, if it is the requested one."""
    if not resume:
        raise RunError(f"{folder} already holds a finished run: choose another folder.")
    record = load_record(folder)
    there = Identity(record.recipe, record.data.digest, record.versions["backend"])
    _refuse_another(identity.differences(there), folder)
    print(f"{folder} already holds this training, finished.")
    return Run(folder, load_model(folder), record)


def _checkpoint_in(folder: Path, identity: Identity, resume: bool) -> Checkpoint | None:
    """Where to resume, if the training in the folder is the requested one."""
    path = folder / "checkpoint.npz"
    if not path.exists():
        return None
    if not resume:
        raise RunError(
            f"{folder} holds a training that did not finish: resume it (--resume), or choose "
            "another folder."
        )
    checkpoint = Checkpoint.load(path)
    _refuse_another(identity.differences(checkpoint.identity), folder)
    if checkpoint.versions != frameworks():
        written = " and ".join(f"{name} {version}" for name, version in checkpoint.versions.items())
        raise CheckpointError(
            f"{path} was written with {written}: resume it with these, or remove it to train from "
            "the start."
        )
    return checkpoint


def _refuse_another(differences: list[str], folder: Path) -> None:
    if differences:
        raise RunError(
            f"{folder} holds another training ({', '.join(differences)} differ): resume it as it "
            "was begun, or choose another folder."
        )


def _keep(training: Training, folder: Path, devices: int, seconds: float) -> Run:
    """Say how it ended, and write the files of a finished run."""
    recipe, mnist, stopping = training.recipe, training.mnist, training.stopping
    result = Result(
        best_validation_error=percent(stopping.best_validation_error),
        best_iteration=stopping.best_iteration,
        test_error=percent(stopping.test_error or 0.0),  # a best one was tested
    )
    print("Optimization complete.")
    print(
        f"Best validation score of {result.best_validation_error:f} % obtained at iteration "
        f"{result.best_iteration}, with test performance {result.test_error:f} %"
    )
    print(f"The code ran for {seconds / 60:.2f}m", file=sys.stderr)
    last = stopping.validations[-1]
    record = Record(
        recipe=recipe,
        data=Data.of(mnist),
        versions=versions(),
        hardware=hardware(),
        devices=devices,
        wall_seconds=round(seconds, 2),
        epochs=last.epoch,
        iterations=stopping.stopped_iteration or last.iteration,
        stopped_by_patience=stopping.stopped_iteration is not None,
        result=result,
    )
    with whole_file(folder / "model.keras") as path:
        training.network.save(path)
    with whole_file(folder / "curve.png") as path:
        title = f"{recipe.name} recipe on {'MNIST' if mnist.name == 'mnist' else mnist.source}"
        learning_curve(stopping.validations, title).savefig(path, dpi=120)
    record.save(folder / "run.json")
    (folder / "checkpoint.npz").unlink(missing_ok=True)
    return Run(folder, training.network, record)


def evaluate_lenet5(
    learning_rate: float = TUTORIAL.learning_rate,
    n_epochs: int = TUTORIAL.n_epochs,
    dataset: str = "auto",
    nkerns: Sequence[int] = TUTORIAL.nkerns,
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
        RecipeError: a value is invalid.
        DataError: there is no such data.
        TrainingError: the cost became NaN.
    """
    recipe = TUTORIAL.changed(
        {
            "learning_rate": learning_rate,
            "n_epochs": n_epochs,
            "nkerns": list(nkerns),
            "batch_size": batch_size,
        }
    )
    return train(recipe, load_mnist(dataset), new_run_dir(recipe))


def new_run_dir(recipe: Recipe) -> Path:
    """Make a new folder: runs/<recipe>-<date>-<time>, with a number where that is taken."""
    name = f"{recipe.name.replace(' ', '-')}-{datetime.now():%Y%m%d-%H%M%S}"
    for number in range(1, 1000):
        folder = Path("runs", name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise RunError(f"There are too many runs named {name}: name a folder of your own.")


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
            f"{path} is another network: its output is {shapes[1]} for an input of {shapes[0]}, "
            "where LeNet's is (None, 10) for (None, 28, 28)."
        )
    missing = {"conv1", "conv2", "hidden", "logits"} - {layer.name for layer in model.layers}
    if missing:
        raise RunError(f"{path} is another network: it has no layer {sorted(missing)[0]}.")
    return model
