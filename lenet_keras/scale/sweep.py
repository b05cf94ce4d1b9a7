"""The tutorial's ``experiment(state, channel)`` today: many trainings of one question, on Ray Tune.

``plan.py`` says what a sweep's file may ask for. Each trial is an ordinary run folder, and the
folders are all that is remembered: the same sweep into the same folder resumes what was killed.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lenet_keras.data import Mnist, load_mnist
from lenet_keras.errors import in_short
from lenet_keras.progress import bars
from lenet_keras.scale.cluster import connected, need_ray
from lenet_keras.scale.plan import Sweep, SweepError, read_sweep, recipe_of
from lenet_keras.storage.files import only_writer, whole_file

__all__ = ["Outcome", "sweep"]


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    status: "finished", "stopped" (early, by ASHA) or "failed".
    errors: in percent; of a stopped one the best so far.
    why: of a failed one, in a sentence.
    """

    name: str
    changes: dict
    status: str
    epochs: int = 0
    best_validation_error: float = math.nan
    test_error: float = math.nan
    seconds: float = math.nan
    why: str = ""


def name_of(number: int, changes: dict) -> str:
    """A trial's folder: its number, and what it changes as far as that fits."""
    words = [f"{number:04d}"]
    for name, value in changes.items():
        value = "-".join(map(str, value)) if isinstance(value, list) else Path(str(value)).name
        words.append(re.sub(r"[^A-Za-z0-9.=_-]+", "_", f"{name}={value}"))
    return ",".join(words)[:100]


def sweep(
    path: str | os.PathLike[str], out: str | os.PathLike[str], address: str = ""
) -> list[Outcome]:
    """Run every trial of a sweep, as many at once as the machines have room for.

    The folder gets ``sweep.toml``, ``trials/`` with a run folder for each, ``results.csv`` with a
    line for each, and ``sweep.png``, all trials in parallel coordinates. A trial that fails is
    reported and does not stop the rest; one whose process dies is resumed.

    Args:
        path: the sweep's TOML file.
        out: the folder; if it holds this sweep already, the sweep is resumed.
        address: of a Ray cluster whose machines all see the folder; without it Ray is started on
            this machine, and ended at the end.

    Returns:
        An Outcome for every trial, in their order.

    Raises:
        SweepError: the file is invalid, or the folder holds another sweep.
        ClusterError: Ray is missing, does not start, or does not answer at the address.
        DataError: there is no such data.
        FileError: a file cannot be written, or another sweep is running in the folder.
        OSError: the folder cannot be made.
    """
    asked = read_sweep(path)
    need_ray()
    sources = {each.get("data", asked.data) for each in asked.trials}
    mnists = {source: load_mnist(source) for source in sources}
    out = Path(out).resolve()
    (out / "trials").mkdir(parents=True, exist_ok=True)
    with only_writer(out):
        before = out / "sweep.toml"
        if before.exists() and before.read_text(encoding="utf-8") != asked.text:
            raise SweepError(f"{out} holds another sweep: choose another folder.")
        with whole_file(before) as partial:
            partial.write_text(asked.text, encoding="utf-8")
        left = _left(asked, out)
        if left:
            # trials that each take all cores would get in one another's way
            threads = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"), asked.threads)
            environment = {name: str(n) for name, n in threads.items()}
            environment["TF_NUM_INTEROP_THREADS"] = "1"
            with connected(address, environment):
                died = _run_trials(asked, left, mnists, out)
            for number, why in died.items():
                _failed(out / "trials" / name_of(number, asked.trials[number]), why)
        outcomes = [_outcome(out, n, each) for n, each in enumerate(asked.trials)]
        _write_results(out, outcomes)
    return outcomes


def _left(asked: Sweep, out: Path) -> list[int]:
    """The trials to run: of a sweep that ended, only those that failed."""
    status = [_outcome(out, n, each).status for n, each in enumerate(asked.trials)]
    again = {"failed"}
    if not (out / "results.csv").exists():
        # ASHA compares with finished trials: they run again, and only report how they went
        again |= {"stopped", "finished"} if asked.asha else {"stopped"}
    return [n for n, each in enumerate(status) if each in again]


def _run_trials(
    asked: Sweep, left: list[int], mnists: dict[str, Mnist], out: Path
) -> dict[int, str]:
    """Run those that are left. Returns the trials whose process died, and how."""
    from ray import tune

    from lenet_keras.scale.board import Board

    names = [name_of(n, each) for n, each in enumerate(asked.trials)]
    epochs = [
        recipe_of(asked.recipe, each, mnists[each.get("data", asked.data)]).n_epochs
        for each in asked.trials
    ]
    scheduler = None
    if asked.asha:
        scheduler = tune.schedulers.ASHAScheduler(
            "epoch", "validation_error", "min", max_t=max(epochs), reduction_factor=3
        )
    trial = tune.with_parameters(_trial, asked=asked, mnists=mnists, out=out)
    with tempfile.TemporaryDirectory() as notes, bars() as board:  # Tune's own files
        tuner = tune.Tuner(
            tune.with_resources(trial, {"cpu": asked.threads}),
            param_space={"number": tune.grid_search(left)},
            tune_config=tune.TuneConfig(scheduler=scheduler),
            run_config=tune.RunConfig(
                storage_path=notes,
                verbose=0,
                callbacks=[Board(names, epochs, board)],
                failure_config=tune.FailureConfig(max_failures=2),
            ),
        )
        results = tuner.fit()
    ended = [results[i] for i in range(len(results))]
    return {each.config["number"]: in_short(each.error) for each in ended if each.error}  # type: ignore[index]


def _trial(config: dict, asked: Sweep, mnists: dict[str, Mnist], out: Path) -> None:
    """One trial, in a process of Ray's."""
    from ray import tune

    from lenet_keras.run import train

    changes = asked.trials[config["number"]]
    folder = out / "trials" / name_of(config["number"], changes)
    (folder / "failed.txt").unlink(missing_ok=True)
    mnist = mnists[changes.get("data", asked.data)]
    try:
        for row in _history(folder):  # of a resumed trial, for the scheduler to know
            tune.report(_figures(int(row["epoch"]), float(row["validation_error"])))
        folder.mkdir(exist_ok=True)
        with only_writer(folder, wait=60):  # a killed sweep's last process may still be ending
            pass
        recipe = recipe_of(asked.recipe, changes, mnist)
        run = train(recipe, mnist, folder, resume=True, callbacks=[_reports()])
        tune.report(_figures(run.record.epochs, run.record.result.best_validation_error))
    except Exception as error:  # an unlucky recipe can raise anything
        _failed(folder, in_short(error))
        tune.report(_figures(0, math.inf))


def _figures(epoch: int, validation_error: float) -> dict[str, float]:
    """What Tune compares; the error in percent."""
    return {"epoch": epoch, "validation_error": validation_error}


def _reports() -> Any:
    """A callback of Keras's that tells Tune how an epoch went."""
    import keras
    from ray import tune

    class Reports(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
            # a trial must not be stopped just before its end
            if logs and "validation_error" in logs and epoch + 1 < self.params["epochs"]:
                tune.report(_figures(epoch + 1, 100 * logs["validation_error"]))

    return Reports()


def _failed(folder: Path, why: str) -> None:
    folder.mkdir(exist_ok=True)
    with whole_file(folder / "failed.txt") as partial:
        partial.write_text(why, encoding="utf-8")


def _history(folder: Path) -> list[dict]:
    try:
        with open(folder / "history.csv", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        return []


def _outcome(out: Path, number: int, changes: dict) -> Outcome:
    from lenet_keras.run import RunError, load_record

    name = name_of(number, changes)
    folder = out / "trials" / name
    if (folder / "run.json").exists():
        try:
            record = load_record(folder)
        except RunError as error:
            return Outcome(name, changes, "failed", why=str(error))
        errors = record.result.best_validation_error, record.result.test_error
        return Outcome(name, changes, "finished", record.epochs, *errors, record.wall_seconds)
    rows = _history(folder)
    so_far = Outcome(name, changes, "stopped")
    if rows:
        epochs, seconds = int(rows[-1]["epoch"]), float(rows[-1]["seconds"])
        so_far = dataclasses.replace(so_far, epochs=epochs, seconds=seconds)
    if (folder / "failed.txt").exists():
        why = (folder / "failed.txt").read_text(encoding="utf-8")
        return dataclasses.replace(so_far, status="failed", why=why)
    best = min((float(row["validation_error"]) for row in rows), default=math.nan)
    tested = [float(row["test_error"]) for row in rows if row["test_error"]]
    test_error = tested[-1] if tested else math.nan
    return dataclasses.replace(so_far, best_validation_error=best, test_error=test_error)


def _write_results(out: Path, outcomes: list[Outcome]) -> None:
    from lenet_keras.figures import parallel_coordinates

    names = list(dict.fromkeys(name for each in outcomes for name in each.changes))
    figures = ("epochs", "best_validation_error", "test_error", "seconds", "why")
    with whole_file(out / "results.csv") as partial, open(partial, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", "status", *names, *figures])
        for each in outcomes:
            cells = [each.changes[name] for name in names]
            cells += [getattr(each, figure) for figure in figures]
            row = ["" if cell != cell else cell for cell in cells]  # NaN is not itself
            writer.writerow([each.name, each.status, *row])
    done = [each for each in outcomes if each.status != "failed"]
    swept = [name for name in names if len({json.dumps(o.changes[name]) for o in outcomes}) > 1]
    if done and swept:
        errors = [each.best_validation_error for each in done]
        values = {name: [each.changes[name] for each in done] for name in swept}
        with whole_file(out / "sweep.png") as partial:
            parallel_coordinates(values, errors).savefig(partial, dpi=120, format="png")
