"""The command ``lenet-keras``."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence

from lenet_keras.data import DataError, Mnist, load_mnist

SOURCES = (
    "auto (the default: $LENET_KERAS_DATA, else MNIST cached or downloaded, else the embedded "
    "digits), mnist, digits, a folder of MNIST's four IDX files, an mnist.npz or an mnist.pkl.gz"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, 1 for a failure; argparse exits with 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    with _quiet_start():
        from lenet_keras.training import RunError
    warnings.showwarning = _show_warning
    try:
        return options.command(options)
    except (DataError, RunError) as error:
        print(f"lenet-keras: {error}", file=sys.stderr)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"lenet-keras: {where}{error.strerror or error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nlenet-keras: interrupted.", file=sys.stderr)
        return 130
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lenet-keras",
        description="The deeplearning.net LeNet tutorial, in Keras.",
        epilog="lenet-keras COMMAND --help says more.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train the network into a run folder")
    train.set_defaults(command=_train)
    train.add_argument(
        "--recipe",
        choices=("tutorial", "first"),
        default="tutorial",
        help="tutorial: all 200 epochs (the default); first: its first 10",
    )
    train.add_argument("--data", default="auto", metavar="SOURCE", help=SOURCES)
    train.add_argument("--epochs", type=_positive, metavar="N", help="at most N epochs")
    train.add_argument("--seed", type=_seed, metavar="N", help="of the initial weights (23455)")
    train.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        help="bfloat16: Keras's mixed precision (default: float32)",
    )
    train.add_argument(
        "--out", metavar="DIR", help="the run folder (default: a new one under runs/)"
    )
    train.add_argument("--tensorboard", action="store_true", help="also write logs for TensorBoard")

    evaluate = commands.add_parser("evaluate", help="count a model's errors")
    evaluate.set_defaults(command=_evaluate)
    evaluate.add_argument("model", metavar="MODEL", help="a run folder or a .keras file")
    evaluate.add_argument("--data", default="auto", metavar="SOURCE", help=SOURCES)
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _train(options: argparse.Namespace) -> int:
    from lenet_keras import recipe as recipes
    from lenet_keras import training

    mnist = load_mnist(options.data)
    recipe = recipes.RECIPES[options.recipe]
    print(_data_line(mnist))
    if mnist.name == "digits":
        recipe = recipes.for_digits(recipe)
        print(
            f"They are few: minibatches of {recipe.batch_size} instead of "
            f"{recipes.TUTORIAL.batch_size}."
        )
    asked = {
        "n_epochs": options.epochs,
        "seed": options.seed,
        "precision": options.precision,
    }
    recipe = dataclasses.replace(recipe, **{k: v for k, v in asked.items() if v is not None})
    folder = options.out or training.new_run_dir(recipe)
    run = training.train(recipe, mnist, folder, tensorboard=options.tensorboard)

    error, n_test = run.record["result"]["test_error"], len(mnist.test.labels)
    print(
        f"\nTest error {error:.2f} %: {100 - error:.2f} % of the {n_test:,} held-out "
        f"{_digits_of(mnist)} are right.\n"
        f"Everything is in {run.folder}: model.keras, history.csv, run.json, curve.png."
    )
    if options.recipe == "first" and mnist.name == "mnist":
        print("These were the first 10 epochs; `make reproduce` does all 200 of the tutorial.")
    return 0


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


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """Hide what TensorFlow's native code writes while it loads, unless loading fails.

    It notes CPU features and absent GPUs straight to file descriptor 2, out of Python's reach.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
            import keras

            keras.distribution.list_devices()  # the search for GPUs is noisy too
        except BaseException:
            notes.seek(0)
            os.write(stderr, notes.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
