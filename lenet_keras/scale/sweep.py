"""The tutorial's ``experiment(state, channel)`` today: many trainings of one question, on Ray Tune.

A sweep is a small TOML file:

    recipe = "fast"          # what the fields change; "tutorial" without it
    data = "mnist"           # what load_mnist takes; or a list of such, to try each
    search = "random"        # or "grid", every combination, without it
    trials = 20              # how many a random search tries
    seed = 0                 # of what it draws; another number, other trials
    scheduler = "asha"       # stop the worse ones early; without it all run to their end
    threads = 1              # of a trial; as many trials run at once as that leaves room for

    [fields]                 # any of Recipe's, by name; those of its distortion after a dot
    learning_rate = { low = 1e-3, high = 1e-1, log = true }
    n_hidden = [100, 500]
    "distortion.rotation" = [0.0, 10.0]

Each trial is an ordinary run folder, and the folders are all that there is to remember: the same
sweep into the same folder once more goes on where the one before was killed.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import math
import os
import random
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lenet_keras.scale.cluster import connected, need_ray
from lenet_keras.storage.files import only_writer, whole_file

from lenet_keras.data import Mnist, load_mnist
from lenet_keras.errors import LenetKerasError, in_short
from lenet_keras.recipe import RECIPES, Distortion, Recipe, for_digits

if TYPE_CHECKING:
    from lenet_keras.patience import Validation

__all__ = ["Outcome", "Sweep", "SweepError", "read_sweep", "sweep"]

MOST_TRIALS = 10_000
LARGEST = 1 << 20  # bytes of TOML: nobody writes more by hand


class SweepError(LenetKerasError):
    """A sweep's file is not one, or its folder holds another."""


@dataclass(frozen=True)
class Sweep:
    """What a sweep's file says.

    trials: what each changes, field name to value (and "data"), in the order they are begun.
    data: what the others learn.
    text: the file itself.
    """

    recipe: Recipe
    trials: tuple[dict, ...]
    data: str
    asha: bool
    threads: int
    text: str


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


def read_sweep(path: str | os.PathLike[str]) -> Sweep:
    """Read a sweep's file; random values are drawn here, the same ones every time.

    Returns:
        The sweep, its trials spelt out.

    Raises:
        SweepError: it cannot be read or says what no sweep can do.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise SweepError(f"{path} is too large for a sweep.")
        text = content.decode()
        asked = tomllib.loads(text)
    except OSError as error:
        raise SweepError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise SweepError(f"{path} is no TOML: {in_short(error)}.") from None

    def take(key: str, default: object, fits: Callable[[Any], bool], expected: str) -> Any:
        value = asked.pop(key, default)
        if not fits(value):
            raise SweepError(f"{path}: {key} must be {expected}.")
        return value

    recipe = take("recipe", "tutorial", _in(RECIPES), f"one of {', '.join(RECIPES)}")
    sources = take("data", "auto", _sources, "what --data takes, or a list of that")
    search = take("search", "grid", _in(("grid", "random")), '"grid" or "random"')
    scheduler = take("scheduler", "", _in(("", "asha")), '"asha", or not there')
    threads = take("threads", 1, _count, "a whole number from 1 to 1,000")
    seed = take("seed", 0, lambda value: type(value) is int, "a whole number")
    fields = take("fields", {}, lambda value: isinstance(value, dict), "a table")
    n = asked.pop("trials", None)
    if asked:
        raise SweepError(f"{path}: there is no setting {in_short(KeyError(next(iter(asked))))}.")
    if (search == "random") != (n is not None) or (n is not None and not _count(n)):
        raise SweepError(
            f"{path}: trials says how many of a random search: a whole number from 1 to 1,000 "
            "there, and nowhere else."
        )
    if isinstance(sources, list):
        fields = {"data": sources, **fields}
    base = RECIPES[recipe]
    for name, values in fields.items():
        _check_field(path, name, values, base, search)
    trials = _random(fields, n, seed) if search == "random" else _grid(path, fields)
    data = sources if isinstance(sources, str) else sources[0]
    return Sweep(base, tuple(trials), data, scheduler == "asha", threads, text)


def _in(values: Collection[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and value in values


def _count(value: object) -> bool:
    return type(value) is int and 1 <= value <= 1000


def _sources(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(source, str) for source in value)
    return isinstance(value, str)


def _check_field(path: Path, name: str, values: Any, recipe: Recipe, search: str) -> None:
    """A sentence if a recipe has no such field, or it cannot have these values."""
    known: dict[str, Any] = {
        field.name: getattr(recipe, field.name) for field in dataclasses.fields(Recipe)
    }
    known |= {f"distortion.{k}": v for k, v in dataclasses.asdict(Distortion()).items()}
    known["data"] = "auto"
    if name not in known or name in ("name", "distortion"):
        raise SweepError(f"{path}: a recipe has no field {in_short(KeyError(name))}.")

    def fits(value: Any) -> bool:
        default = known[name]
        if isinstance(default, tuple):
            return isinstance(value, list) and len(value) == 2 and all(map(_count, value))
        if isinstance(default, float):
            return type(value) in (int, float) and math.isfinite(value)
        return type(value) is type(default)

    if isinstance(values, dict):
        low, high, log = values.get("low"), values.get("high"), values.get("log")
        right = set(values) <= {"low", "high", "log"} and log in (None, True, False)
        right = right and fits(low) and fits(high) and type(low) in (int, float)
        if not (right and low < high) or (log and low <= 0):  # type: ignore[operator]
            raise SweepError(
                f"{path}: {name} = {{ low = ..., high = ... }} needs two numbers such as the field "
                "has, the lower one first, above 0 where log = true."
            )
        if search == "grid":
            raise SweepError(f'{path}: {name} has a range, which only search = "random" can draw.')
    elif not isinstance(values, list) or not values:
        raise SweepError(f"{path}: {name} needs a list of values, or a table of low and high.")
    else:
        for value in values:
            if not fits(value):
                raise SweepError(f"{path}: {name} cannot be {in_short(ValueError(repr(value)))}.")


def _grid(path: Path, fields: dict) -> list[dict]:
    if math.prod(map(len, fields.values())) > MOST_TRIALS:
        raise SweepError(f"{path} asks for more than {MOST_TRIALS:,} trials.")
    return [dict(zip(fields, values)) for values in itertools.product(*fields.values())]


def _random(fields: dict, n: int, seed: int) -> list[dict]:
    """n trials; where lists are short, fewer: none is tried twice."""
    chance = random.Random(seed)

    def draw(values: list | dict) -> object:
        if isinstance(values, list):
            return chance.choice(values)
        low, high = values["low"], values["high"]
        if values.get("log"):
            value = math.exp(chance.uniform(math.log(low), math.log(high)))
        else:
            value = chance.uniform(low, high)
        whole = isinstance(low, int) and isinstance(high, int)
        # four digits say all that a search can tell apart
        return min(high, max(low, round(value))) if whole else float(f"{value:.4g}")

    drawn = ({name: draw(values) for name, values in fields.items()} for _ in range(20 * n))
    return list({json.dumps(trial): trial for trial in drawn}.values())[:n]


def recipe_of(base: Recipe, changes: dict, mnist: Mnist) -> Recipe:
    """A trial's recipe: the sweep's, fitted to the data, with the trial's changes."""
    recipe = for_digits(base) if mnist.name == "digits" else base
    whole = {k: v for k, v in changes.items() if k != "data" and "." not in k}
    parts = {k.partition(".")[2]: v for k, v in changes.items() if "." in k}
    if parts:
        whole["distortion"] = dataclasses.replace(recipe.distortion or Distortion(), **parts)
    if "nkerns" in whole:
        whole["nkerns"] = tuple(whole["nkerns"])
    return dataclasses.replace(recipe, **whole)


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
    reported and does not stop the rest; one whose process dies is begun again and goes on.

    Args:
        path: the sweep's TOML file.
        out: the folder; if it holds this sweep already, it goes on there.
        address: of a Ray cluster whose machines all see the folder; without it Ray is started on
            this machine, and ended at the end.

    Returns:
        An Outcome for every trial, in their order.

    Raises:
        SweepError: the file is no sweep, or the folder holds another.
        ClusterError: Ray is missing, or nobody answers at the address.
        DataError: there are no such data.
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
            # trials that each take all cores would stand in one another's way
            threads = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"), asked.threads)
            environment = {name: str(n) for name, n in threads.items()}
            environment |= {"TF_NUM_INTEROP_THREADS": "1", "RAY_CHDIR_TO_TRIAL_DIR": "0"}
            with connected(address, environment):
                died = _run_trials(asked, left, mnists, out)
            for number, why in died.items():
                _failed(out / "trials" / name_of(number, asked.trials[number]), why)
        outcomes = [_outcome(out, n, each) for n, each in enumerate(asked.trials)]
        _write_results(out, outcomes)
    return outcomes


def _left(asked: Sweep, out: Path) -> list[int]:
    """The trials to be run: of a sweep that came to its end those that failed."""
    status = [_outcome(out, n, each).status for n, each in enumerate(asked.trials)]
    again = {"failed"}
    if not (out / "results.csv").exists():
        # ASHA compares with those that finished: they come again, and only say how they went
        again |= {"stopped", "finished"} if asked.asha else {"stopped"}
    return [n for n, each in enumerate(status) if each in again]


def _run_trials(
    asked: Sweep, left: list[int], mnists: dict[str, Mnist], out: Path
) -> dict[int, str]:
    """Those that are left, by Ray Tune. Returns the trials whose process died, and how."""
    from ray import tune

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
    with tempfile.TemporaryDirectory() as notes:  # what Tune writes for itself
        tuner = tune.Tuner(
            tune.with_resources(trial, {"cpu": asked.threads}),
            param_space={"number": tune.grid_search(left)},
            tune_config=tune.TuneConfig(scheduler=scheduler),
            run_config=tune.RunConfig(
                storage_path=notes,
                verbose=0,
                callbacks=[_table(tune, asked, epochs)],
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

    def report(epoch: int, validation_error: float) -> None:
        tune.report({"epoch": epoch, "validation_error": validation_error})

    mnist = mnists[changes.get("data", asked.data)]
    recipe = recipe_of(asked.recipe, changes, mnist)

    def validated(validation: Validation) -> None:
        if validation.epoch < recipe.n_epochs:  # nobody is to be stopped just before the end
            report(validation.epoch, 100 * validation.validation_error)

    for row in _history(folder):  # of a trial that goes on, for the scheduler to know
        report(int(row["epoch"]), float(row["validation_error"]))
    try:
        folder.mkdir(exist_ok=True)
        with only_writer(folder, wait=60):  # a killed sweep's last process may not know yet
            pass
        run = train(recipe, mnist, folder, resume=True, on_validation=validated)
        report(run.record["epochs"], run.record["result"]["best_validation_error"])
    except Exception as error:  # nonsense in a recipe can raise anything
        _failed(folder, in_short(error))
        report(0, math.inf)


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


def _table(tune: Any, asked: Sweep, epochs: list[int]) -> Any:
    """A callback of Tune's: a line for every trial that ends; in a terminal, those that run too."""
    live = sys.stdout.isatty()
    running: dict[int, str] = {}

    class Table(tune.Callback):  # type: ignore[name-defined]
        drawn = done = 0

        def _draw(self, *lines: str) -> None:
            width = shutil.get_terminal_size().columns - 1  # a longer row would take two lines
            rows = [row[:width] for row in running.values()] if live else []
            up = f"\x1b[{self.drawn}A\x1b[J" if self.drawn else ""
            print(up + "".join(f"{row}\n" for row in (*lines, *rows)), end="", flush=True)
            self.drawn = len(rows)

        def on_trial_result(
            self, iteration: int, trials: list, trial: Any, result: dict, **_: Any
        ) -> None:
            number = trial.config["number"]
            so_far = f"epoch {result['epoch']} of {epochs[number]}, "
            so_far += f"validation error {result['validation_error']:.2f} %"
            if math.isinf(result["validation_error"]):
                so_far = "failed"
            running[number] = f"{name_of(number, asked.trials[number])}: {so_far}"
            if live:
                self._draw()

        def on_trial_complete(self, iteration: int, trials: list, trial: Any, **_: Any) -> None:
            number = trial.config["number"]
            self.done += 1
            line = running.pop(number, f"{name_of(number, asked.trials[number])}: failed")
            self._draw(f"[{self.done}/{len(trials)}] {line}")

        on_trial_error = on_trial_complete

    return Table()


def _outcome(out: Path, number: int, changes: dict) -> Outcome:
    name = name_of(number, changes)
    folder = out / "trials" / name
    if (folder / "run.json").exists():
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        errors = {key: record["result"][key] for key in ("best_validation_error", "test_error")}
        seconds = record["wall_seconds"]
        return Outcome(name, changes, "finished", record["epochs"], seconds=seconds, **errors)
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
