"""The command ``lenet-keras``."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lenet_keras import TRAINING_PACKAGES
from lenet_keras.data import Mnist, load_mnist
from lenet_keras.errors import LenetKerasError
from lenet_keras.progress import progress_bar
from lenet_keras.quiet import quiet_tensorflow
from lenet_keras.recipe import ABOUT, CHOICES, LARGEST, LARGEST_SEED, RECIPES, TUTORIAL, for_digits

if TYPE_CHECKING:
    from lenet_keras.ship.classifier import Answer

SOURCES = (
    "auto (the default: $LENET_KERAS_DATA, else MNIST cached or downloaded, else the embedded "
    "digits), mnist, digits, a folder of MNIST's four IDX files, an mnist.npz or an mnist.pkl.gz"
)
ADDRESS = "of a Ray cluster (default: this machine's cores)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, or 1 for a failure; argparse exits with 2 for wrong usage."""
    _prepare_output()
    options = _parser().parse_args(arguments)
    code, sentence = 1, None
    try:
        code = options.command(options)
        sys.stdout.flush()
    except LenetKerasError as error:
        sentence = str(error)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in TRAINING_PACKAGES:
            raise
        sentence = f"this command needs {error.name}: pip install 'lenet-keras[train]'."
    except BrokenPipeError:
        code = 1  # no failure to speak of: `| head` has read enough
    except OSError as error:
        code, name = 1, error.filename or "the output"  # every file of ours has a name
        sentence = f"{name} cannot be read or written ({error.strerror or error})."
    except KeyboardInterrupt:
        code, sentence = 130, "interrupted."
    try:
        sys.stdout.flush()
    except OSError:  # Python would try once more when it ends, and show how it fails
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if sentence:
        _complain(sentence)
    return code


def _prepare_output() -> None:
    """Printing must not fail for an unusual character, or because a stream is closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed, as in `lenet-keras ... >&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, to the end
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    warnings.showwarning = lambda message, *_: _complain(str(message))  # type: ignore[assignment]
    warnings.filterwarnings("ignore", module="PIL")  # about pictures that can be read all the same


def _complain(sentence: str) -> None:
    print(f"lenet-keras: {_printable(sentence)}", file=sys.stderr)


def _printable(text: str) -> str:
    """File names come from strangers, and a terminal obeys escape sequences."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


# --- what can be asked -------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lenet-keras",
        description="The deeplearning.net LeNet tutorial, in Keras.",
        epilog="lenet-keras COMMAND --help says more.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands.add_parser("train", help="train the network into a run folder"))
    _add_sweep(commands.add_parser("sweep", help="train many networks that differ, on Ray"))

    evaluate = commands.add_parser("evaluate", help="count a model's errors")
    evaluate.set_defaults(command=_evaluate)
    evaluate.add_argument("model", metavar="MODEL", help="a run folder or a .keras file")
    evaluate.add_argument("--data", default="auto", metavar="SOURCE", help=SOURCES)
    evaluate.add_argument("--json", action="store_true", help="print JSON")

    export = commands.add_parser("export", help="make the ONNX files of a run")
    export.set_defaults(command=_export)
    export.add_argument("run", metavar="RUN", type=Path, help="a run folder")
    export.add_argument("--to", metavar="DIR", type=Path, required=True, help="where they go")
    export.add_argument(
        "--digit", metavar="RUN", type=Path, help="take digit.onnx from this run instead"
    )
    export.add_argument("--data", default="auto", metavar="SOURCE", help=SOURCES)

    _add_classify(commands.add_parser("classify", help="read the digit in pictures"))
    return parser


def _add_train(train: argparse.ArgumentParser) -> None:
    train.set_defaults(command=_train, wrong_usage=train.error)
    train.add_argument(
        "--recipe",
        choices=RECIPES,
        default="tutorial",
        help="; ".join(f"{recipe.name}: {about}" for recipe, about in ABOUT.items()),
    )
    train.add_argument("--data", default="auto", metavar="SOURCE", help=SOURCES)
    train.add_argument("--epochs", type=_whole(1), metavar="N", help="at most N epochs")
    train.add_argument(
        "--seed", type=_whole(0, LARGEST_SEED), metavar="N", help="of all randomness (23455)"
    )
    train.add_argument(
        "--precision",
        choices=CHOICES["precision"],
        help="bfloat16: Keras's mixed precision; auto: where the machine computes in it (default: "
        "the recipe's)",
    )
    train.add_argument(
        "--out", metavar="DIR", help="the run folder (default: a new one under runs/)"
    )
    train.add_argument(
        "--resume",
        action="store_true",
        help="resume the training in --out that was interrupted, or begin it if there is none",
    )
    train.add_argument(
        "--devices",
        type=_whole(1),
        default=1,
        metavar="N",
        help="share every minibatch evenly among N devices (default: 1)",
    )
    train.add_argument("--tensorboard", action="store_true", help="also write logs for TensorBoard")


def _add_sweep(sweep: argparse.ArgumentParser) -> None:
    sweep.set_defaults(command=_sweep)
    sweep.add_argument("file", metavar="FILE", help="a TOML file that says what to try")
    sweep.add_argument(
        "--out",
        metavar="DIR",
        required=True,
        help="where everything goes; the same command again resumes what was interrupted",
    )
    sweep.add_argument("--address", default="", help=ADDRESS)


def _add_classify(classify: argparse.ArgumentParser) -> None:
    classify.set_defaults(command=_classify, wrong_usage=classify.error)
    classify.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="a picture of one digit, a folder of such pictures, or - for standard input",
    )
    classify.add_argument("--model", metavar="FILE", help="another digit.onnx")
    classify.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="ray: any number of pictures (.npy and .parquet files too), on every core or a "
        "cluster, into Parquet files in --out; the same command again does what is left",
    )
    classify.add_argument("--out", metavar="DIR", help="where the answers of --engine ray go")
    classify.add_argument("--address", default="", help=ADDRESS)
    form = classify.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV")


def _whole(least: int, most: int = LARGEST) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        number = int(text)
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from {least:,} to {most:,}")
        return number

    return whole_number


# --- train, sweep, evaluate, export ------------------------------------------------------


def _start_keras() -> None:
    _check_backend()
    quiet_tensorflow()


def _check_backend() -> None:
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in ("tensorflow", "jax", "torch"):
        raise LenetKerasError(
            f"KERAS_BACKEND is {backend!r}: set it to tensorflow, jax or torch, or unset it."
        )


def _train(options: argparse.Namespace) -> int:
    if options.resume and not options.out:
        options.wrong_usage("--resume needs --out: which folder's training?")
    _start_keras()
    from lenet_keras import run

    mnist = load_mnist(options.data)
    whole = recipe = RECIPES[options.recipe]
    print(_data_line(mnist))
    if mnist.name == "digits":
        recipe = for_digits(whole)
        print(
            f"They are few: minibatches of {recipe.batch_size} instead of {whole.batch_size}, "
            f"{recipe.n_epochs} epochs instead of {whole.n_epochs}."
        )
    asked = {"n_epochs": options.epochs, "seed": options.seed, "precision": options.precision}
    recipe = recipe.changed({name: value for name, value in asked.items() if value is not None})
    folder = Path(options.out) if options.out else run.new_run_dir(recipe)
    logs = [_tensorboard(folder)] if options.tensorboard else []
    try:
        done = run.train(
            recipe, mnist, folder, resume=options.resume, devices=options.devices, callbacks=logs
        )
    except KeyboardInterrupt:
        print(f"\nAdd --resume --out {folder} to the same command to resume.", file=sys.stderr)
        raise
    _summarize(done, mnist)
    if mnist.name == "mnist" and options.recipe == "fast":
        print(
            "That was today's way to train the tutorial's layers. `make reproduce` trains them as "
            f"the tutorial did, {TUTORIAL.n_epochs} epochs; `lenet-keras train --recipe "
            "best` gets the most out of them."
        )
    elif mnist.name == "mnist" and recipe.n_epochs < whole.n_epochs:
        print(f"The {whole.name} recipe runs {whole.n_epochs} epochs, this was {recipe.n_epochs}.")
    return 0


def _tensorboard(folder: Path) -> object:
    import importlib.util

    import keras

    if importlib.util.find_spec("tensorboard") is None:
        raise LenetKerasError(
            "TensorBoard is not installed: pip install 'lenet-keras[tensorboard]'."
        )
    return keras.callbacks.TensorBoard(folder / "tensorboard")


def _summarize(done, mnist: Mnist) -> None:  # type: ignore[no-untyped-def]
    """The first digit that the new file reads, the error, and where everything is."""
    from lenet_keras.ship.graphs import ExportError
    from lenet_keras.ship.onnx_export import write_lenet5

    error, files = done.record.result.test_error, ["model.keras", "history.csv", "run.json"]
    try:
        path = write_lenet5(done)
    except ExportError as why:  # the run is complete without it
        print(f"\nlenet5.onnx was not written: {why}")
    else:
        files.insert(1, path.name)
        print(f"\n{_recognized(path, mnist)}")
    print(
        f"Test error {error:.2f} %: {100 - error:.2f} % of the {len(mnist.test.labels):,} held-out "
        f"{_digits_of(mnist)} are right.\n"
        f"Everything is in {done.folder}: {', '.join(files)}, curve.png."
    )


def _recognized(path: Path, mnist: Mnist) -> str:
    """The first held-out digit, drawn in characters, and what onnxruntime says it is."""
    from lenet_keras.ship.parity import session

    image = mnist.test.images[0]
    run = session(path.read_bytes())
    probabilities, labels = run.run(["probabilities", "label"], {"images": image[None]})
    ink = " ░▒▓█"
    try:
        ink.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        ink = " .:*#"
    # a character is about twice as high as wide: two rows of pixels in one of characters
    shades = np.array(list(ink))[image.reshape(14, 2, 28).mean(axis=1).astype(int) // 52]
    drawn = "\n".join("".join(row).rstrip() for row in shades if (row != " ").any())
    return (
        f"{drawn}\n\nonnxruntime reads this held-out digit from {path.name} as {labels[0]} "
        f"({100 * probabilities[0, labels[0]]:.1f} % sure); it is a {mnist.test.labels[0]}."
    )


def _sweep(options: argparse.Namespace) -> int:
    _check_backend()
    from lenet_keras.scale.sweep import sweep

    outcomes = sweep(options.file, options.out, options.address)
    done = [each for each in outcomes if each.status != "failed"]
    print(f"\n{'validation':>10} {'test error':>11}  trial, the best first")
    for each in sorted(done, key=lambda each: each.best_validation_error):
        early = f" (stopped after epoch {each.epochs})" if each.status == "stopped" else ""
        errors = f"{each.best_validation_error:>8.2f} % {each.test_error:>9.2f} %"
        print(f"{errors}  {each.name}{early}")
    for each in outcomes:
        if each.status == "failed":
            _complain(f"{each.name} failed: {each.why}")
    files = [name for name in ("results.csv", "sweep.png") if Path(options.out, name).exists()]
    print(f"Everything is in {options.out}: {', '.join(files)}, trials.")
    return 1 if len(done) < len(outcomes) else 0


def _evaluate(options: argparse.Namespace) -> int:
    _start_keras()
    from lenet_keras.run import load_model
    from lenet_keras.score import zero_one_loss

    model = load_model(options.model)
    mnist = load_mnist(options.data)
    errors = {
        "validation_error": round(100 * zero_one_loss(model, mnist.valid), 6),
        "test_error": round(100 * zero_one_loss(model, mnist.test), 6),
    }
    if options.json:
        data = {"name": mnist.name, "source": mnist.source, "digest": mnist.digest}
        print(json.dumps({"model": options.model, "data": data, **errors}, indent=2))
        return 0
    print(_data_line(mnist))
    for name, split in (("validation", mnist.valid), ("test", mnist.test)):
        error, n = errors[f"{name}_error"], len(split.labels)
        print(f"{name} error {error:.2f} % ({round(error * n / 100):,} of {n:,} digits)")
    return 0


def _export(options: argparse.Namespace) -> int:
    _start_keras()
    from lenet_keras.ship.onnx_export import export

    mnist = load_mnist(options.data)
    report = export(options.run, options.to, mnist, options.digit)
    print(f"Against Keras on {_digits_of(mnist)}, the {len(mnist.test.labels):,} for testing:\n")
    print(
        f"{'':18}{'bytes':>10}{'largest difference':>22}{'other labels':>14}{'test error':>13}"
        f"{'Keras':>9}"
    )
    for name, parity in report.items():
        print(
            f"{name:18}{(options.to / name).stat().st_size:>10,}{parity.largest_difference:>22.1e}"
            f"{parity.label_mismatches:>14}{parity.onnx_error:>11.2f} %{parity.keras_error:>7.2f} %"
        )
    print(f"\nThe files are in {options.to}.")
    return 0


def _data_line(mnist: Mnist) -> str:
    sizes = [len(split.labels) for split in (mnist.train, mnist.valid, mnist.test)]
    return (
        f"Data: {_digits_of(mnist)} from {mnist.source}: {sizes[0]:,} to train, "
        f"{sizes[1]:,} to validate, {sizes[2]:,} to test."
    )


def _digits_of(mnist: Mnist) -> str:
    return "MNIST digits" if mnist.name == "mnist" else "embedded digits (not MNIST)"


# --- classify ----------------------------------------------------------------------------


def _classify(options: argparse.Namespace) -> int:
    in_bulk = options.engine == "ray"
    if in_bulk != bool(options.out):
        options.wrong_usage("--engine ray and --out DIR need each other.")
    if in_bulk and (options.json or options.csv):
        options.wrong_usage("--engine ray writes Parquet, neither --json nor --csv.")
    if options.address and not in_bulk:
        options.wrong_usage("--address is for --engine ray.")
    if in_bulk:
        return _classify_in_bulk(options)
    files = _pictures_in(options.files)
    answers = _Answers(files, options.model)
    if options.json:
        _print_json(answers)
    elif options.csv:
        _print_csv(answers)
    else:
        _print_lines(answers, max(len(_printable(file)) for file in files))
    return 1 if answers.failed else 0


class _Answers:
    """File by file its answer, as soon as it is there; what cannot be read is reported."""

    def __init__(self, files: Sequence[str], model: str | None) -> None:
        from lenet_keras.ship.classifier import Classifier

        self.files, self.classifier, self.failed = files, Classifier(model), 0

    def __iter__(self) -> Iterator[tuple[str, Answer]]:
        from lenet_keras.ship.classifier import ClassifyError

        opened = ((file, sys.stdin.buffer if file == "-" else file) for file in self.files)
        steps = len(self.files)
        with progress_bar(steps) as advance:
            for number, (file, answer) in enumerate(self.classifier.each(opened), 1):
                advance(note=f"{number:,} of {steps:,}")
                if isinstance(answer, ClassifyError):
                    self.failed += 1
                    _complain(str(answer))
                else:
                    yield file, answer


def _print_lines(answers: Iterable[tuple[str, Answer]], width: int) -> None:
    for file, answer in answers:
        print(f"{_printable(file):{width}}  {_said(answer)}")


def _said(answer: Answer) -> str:
    if not answer.has_ink:
        return "blank"
    percent = 100 * answer.probability
    if not answer.is_digit:
        return f"?  not like any digit (best guess {answer.label}, {percent:.1f} %)"
    return f"{answer.label}  {percent:5.1f} %"


def _print_csv(answers: Iterable[tuple[str, Answer]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "label", "probability", "is_digit"])
    for file, answer in answers:
        guess = [answer.label, f"{answer.probability:.6f}"] if answer.has_ink else ["", ""]
        writer.writerow([file, *guess, json.dumps(answer.is_digit)])


def _print_json(answers: Iterable[tuple[str, Answer]]) -> None:
    """A list, one answer a line, valid JSON once it is complete."""
    separator = "["
    for file, answer in answers:
        row = {
            "file": file,
            "label": answer.label,
            "probability": answer.probability if answer.has_ink else None,
            "probabilities": answer.probabilities.tolist(),
            "has_ink": answer.has_ink,
            "is_digit": answer.is_digit,
        }
        print(separator, json.dumps(row), sep="\n", end="")
        separator = ","
    print("\n]" if separator == "," else "[]")


def _classify_in_bulk(options: argparse.Namespace) -> int:
    from lenet_keras.scale.bulk import classify_in_bulk

    began = time.perf_counter()
    n, failed = classify_in_bulk(options.files, options.out, options.model, options.address)
    seconds = time.perf_counter() - began
    print(f"{n:,} pictures in {seconds:.1f} s. The answers are in {options.out}: *.parquet.")
    if failed:
        _complain(f"{failed:,} pictures could not be read: see the column error of the answers.")
    return 1 if failed else 0


def _pictures_in(files: Sequence[str]) -> list[str]:
    """Files as they are; of a folder, every picture in it, in order of name."""
    from lenet_keras.ship.classifier import ClassifyError, picture_endings, pictures_in

    found = []
    for file in files:
        if not os.path.isdir(file):
            found.append(file)
            continue
        inside = pictures_in(file, picture_endings())
        if not inside:
            raise ClassifyError(f"{file} holds no pictures.")
        found += map(str, inside)
    return found
