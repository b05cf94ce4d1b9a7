"""The command ``lenet-keras``."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lenet_keras.data import Mnist, load_mnist
from lenet_keras.errors import LenetKerasError
from lenet_keras.recipe import ABOUT, RECIPES, TUTORIAL, WORDS, for_digits

SOURCES = (
    "auto (the default: $LENET_KERAS_DATA, else MNIST cached or downloaded, else the embedded "
    "digits), mnist, digits, a folder of MNIST's four IDX files, an mnist.npz or an mnist.pkl.gz"
)

WIPE = "\r\x1b[K"  # clears a terminal's line


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, 1 for a failure; argparse exits with 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    code, sentence = 1, None
    try:
        code = options.command(options)
        sys.stdout.flush()
    except LenetKerasError as error:
        sentence = str(error)
    except BrokenPipeError:
        code = 1  # no failure to speak of: `| head` has read enough
    except OSError as error:
        code = 1  # every file of ours has a name
        name = error.filename or "the output"
        sentence = f"{name} cannot be read or written ({error.strerror or error})."
    except KeyboardInterrupt:
        code, sentence = 130, "interrupted."
    try:
        sys.stdout.flush()
    except OSError:  # Python would try once more at its end, and show how it fails
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if sentence:
        print(f"lenet-keras: {sentence}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lenet-keras",
        description="The deeplearning.net LeNet tutorial, in Keras.",
        epilog="lenet-keras COMMAND --help says more.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train the network into a run folder")
    train.set_defaults(command=_train, wrong_usage=train.error)
    train.add_argument(
        "--recipe",
        choices=RECIPES,
        default="tutorial",
        help="; ".join(f"{name}: {ABOUT[name]}" for name in RECIPES),
    )
    train.add_argument("--data", default="auto", metavar="SOURCE", help=SOURCES)
    train.add_argument("--epochs", type=_positive, metavar="N", help="at most N epochs")
    train.add_argument("--seed", type=_seed, metavar="N", help="of every chance (default: 23455)")
    train.add_argument(
        "--precision",
        choices=WORDS["precision"],
        help="bfloat16: Keras's mixed precision (default: the recipe's)",
    )
    train.add_argument(
        "--out", metavar="DIR", help="the run folder (default: a new one under runs/)"
    )
    train.add_argument(
        "--resume",
        action="store_true",
        help="go on with the training in --out that was interrupted; begin it if there is none",
    )
    train.add_argument(
        "--devices",
        type=_positive,
        default=1,
        metavar="N",
        help="share every minibatch evenly among N devices (default: 1)",
    )
    train.add_argument("--tensorboard", action="store_true", help="also write logs for TensorBoard")

    sweep = commands.add_parser("sweep", help="train many networks that differ, on Ray")
    sweep.set_defaults(command=_sweep)
    sweep.add_argument("file", metavar="FILE", help="a TOML file that says what to try")
    sweep.add_argument(
        "--out",
        metavar="DIR",
        required=True,
        help="where all goes; the same command again goes on with what was interrupted",
    )
    sweep.add_argument(
        "--address", default="", help="of a Ray cluster (default: this machine's cores)"
    )

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

    classify = commands.add_parser("classify", help="read the digit in pictures")
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
    classify.add_argument(
        "--address", default="", help="of a Ray cluster (default: this machine's cores)"
    )
    form = classify.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV")
    return parser


def _train(options: argparse.Namespace) -> int:
    if options.resume and not options.out:
        options.wrong_usage("--resume needs --out: which folder's training?")
    from lenet_keras import training

    mnist = load_mnist(options.data)
    recipe = RECIPES[options.recipe]
    print(_data_line(mnist))
    if mnist.name == "digits":
        whole, recipe = recipe, for_digits(recipe)
        print(
            f"They are few: minibatches of {recipe.batch_size} instead of {whole.batch_size}, "
            f"{recipe.n_epochs} epochs instead of {whole.n_epochs}."
        )
    asked = {
        "n_epochs": options.epochs,
        "seed": options.seed,
        "precision": options.precision,
    }
    recipe = dataclasses.replace(recipe, **{k: v for k, v in asked.items() if v is not None})
    folder = options.out or training.new_run_dir(recipe)
    try:
        run = training.train(
            recipe,
            mnist,
            folder,
            resume=options.resume,
            tensorboard=options.tensorboard,
            devices=options.devices,
        )
    except KeyboardInterrupt:
        print(f"\nThe same with --resume --out {folder} goes on from here.", file=sys.stderr)
        raise

    error, n_test = run.record["result"]["test_error"], len(mnist.test.labels)
    files = ["model.keras", "history.csv", "run.json", "curve.png"]
    from lenet_keras.onnx_export import ExportError, write_lenet5

    try:
        path = write_lenet5(run)
    except ExportError as why:  # the run is whole without it
        print(f"\nThere is no lenet5.onnx: {why}")
    else:
        files.insert(1, path.name)
        print(f"\n{_recognised(path, mnist)}")
    print(
        f"Test error {error:.2f} %: {100 - error:.2f} % of the {n_test:,} held-out "
        f"{_digits_of(mnist)} are right.\n"
        f"Everything is in {run.folder}: {', '.join(files)}."
    )
    if mnist.name == "mnist" and options.recipe == "fast":
        print(
            "That was today's way to train the tutorial's layers. `make reproduce` trains them as "
            f"the tutorial did, {TUTORIAL.n_epochs} epochs; `lenet-keras train --recipe "
            "modern` gets the most out of them."
        )
    elif mnist.name == "mnist" and recipe.n_epochs < RECIPES[options.recipe].n_epochs:
        print(
            f"The {options.recipe} recipe runs {RECIPES[options.recipe].n_epochs} epochs, "
            f"this was {recipe.n_epochs}."
        )
    return 0


def _sweep(options: argparse.Namespace) -> int:
    from lenet_keras.sweep import sweep

    outcomes = sweep(options.file, options.out, options.address)
    done = [each for each in outcomes if each.status != "failed"]
    print(f"\n{'validation':>10} {'test error':>11}  trial, the best first")
    for each in sorted(done, key=lambda each: each.best_validation_error):
        early = f" (stopped after epoch {each.epochs})" if each.status == "stopped" else ""
        errors = f"{each.best_validation_error:>8.2f} % {each.test_error:>9.2f} %"
        print(f"{errors}  {each.name}{early}")
    for each in outcomes:
        if each.status == "failed":
            print(f"lenet-keras: {each.name} failed: {each.why}", file=sys.stderr)
    files = [name for name in ("results.csv", "sweep.png") if Path(options.out, name).exists()]
    print(f"Everything is in {options.out}: {', '.join(files)}, trials.")
    return 1 if len(done) < len(outcomes) else 0


def _recognised(path: Path, mnist: Mnist) -> str:
    """The first held-out digit, drawn in characters, and what onnxruntime says it is."""
    from lenet_keras.onnx_export import session

    image = mnist.test.images[0]
    run = session(path.read_bytes())
    probabilities, labels = run.run(["probabilities", "label"], {"images": image[None]})
    # a character is about twice as high as wide: two rows of pixels in one of characters
    shades = np.array(list(" ░▒▓█"))[image.reshape(14, 2, 28).mean(axis=1).astype(int) // 52]
    drawn = "\n".join("".join(row).rstrip() for row in shades if (row != " ").any())
    return (
        f"{drawn}\n\nonnxruntime reads this held-out digit from {path.name} as {labels[0]} "
        f"({100 * probabilities[0, labels[0]]:.1f} % sure); it is a {mnist.test.labels[0]}."
    )


def _evaluate(options: argparse.Namespace) -> int:
    from lenet_keras.training import load_model, zero_one_loss

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
    mnist = load_mnist(options.data)
    from lenet_keras.onnx_export import export

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
    from lenet_keras.classifier import Classifier, ClassifyError, read_picture

    classifier = Classifier(options.model)
    files = _pictures_of(options.files)
    failed = 0
    read: list[str] = []
    bar = len(files) >= 20 and sys.stderr.isatty()

    def pictures() -> Iterator[np.ndarray]:
        nonlocal failed
        for number, file in enumerate(files, 1):
            if bar:
                done = "█" * (30 * number // len(files))
                print(f"\r{done:░<30} {number:,} of {len(files):,}", end="", file=sys.stderr)
            try:
                picture = read_picture(sys.stdin.buffer if file == "-" else file)
            except ClassifyError as error:
                failed += 1
                print(f"{WIPE * bar}lenet-keras: {error}", file=sys.stderr)
            else:
                read.append(file)
                yield picture

    answers = list(classifier.stream(pictures()))
    if bar:
        print(WIPE, end="", file=sys.stderr)
    if options.json:
        rows = [
            {
                "file": file,
                "label": answer.label,
                "probability": answer.probability if answer.has_ink else None,
                "probabilities": answer.probabilities.tolist(),
                "has_ink": answer.has_ink,
            }
            for file, answer in zip(read, answers)
        ]
        print(json.dumps(rows, indent=2))
    elif options.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["file", "label", "probability"])
        for file, answer in zip(read, answers):
            label = "" if answer.label is None else answer.label
            writer.writerow([file, label, f"{answer.probability:.6f}" if answer.has_ink else ""])
    else:
        width = max([len(file) for file in read], default=0)
        for file, answer in zip(read, answers):
            sure = f"{answer.label}  {100 * answer.probability:5.1f} %"
            print(f"{file:{width}}  {sure if answer.has_ink else 'blank'}")
    return 1 if failed else 0


def _classify_in_bulk(options: argparse.Namespace) -> int:
    from lenet_keras.bulk import classify_in_bulk

    began = time.perf_counter()
    n = classify_in_bulk(options.files, options.out, options.model, options.address)
    seconds = time.perf_counter() - began
    print(f"{n:,} pictures in {seconds:.1f} s. The answers are in {options.out}: *.parquet.")
    return 0


def _pictures_of(files: Sequence[str]) -> list[str]:
    """Files as they are; of a folder, every picture in it, in order of name."""
    from lenet_keras.classifier import ClassifyError, picture_endings

    found = []
    for file in files:
        if not os.path.isdir(file):
            found.append(file)
            continue
        endings = picture_endings()
        inside = sorted(path for path in Path(file).rglob("*") if path.suffix.lower() in endings)
        if not inside:
            raise ClassifyError(f"{file} holds no pictures.")
        found += map(str, inside)
    return found


def _data_line(mnist: Mnist) -> str:
    sizes = [len(split.labels) for split in (mnist.train, mnist.valid, mnist.test)]
    return (
        f"Data: {_digits_of(mnist)} from {mnist.source}: {sizes[0]:,} to train, "
        f"{sizes[1]:,} to validate, {sizes[2]:,} to test."
    )


def _digits_of(mnist: Mnist) -> str:
    return "MNIST digits" if mnist.name == "mnist" else "embedded digits (not MNIST)"


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _seed(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**32:
        raise ValueError
    return number


_positive.__name__, _seed.__name__ = "positive whole number", "seed (0 to 4294967295)"


def _show_warning(message: Warning | str, *_: object) -> None:
    print(f"lenet-keras: {message}", file=sys.stderr)
