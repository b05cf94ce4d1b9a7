"""Where the time of a minibatch goes: operation by operation, then kernel by kernel.

    LENET_KERAS_DATA=... python benchmarks/operations.py > benchmarks/results/operations.md

Twenty minibatches after a warm-up. TensorFlow's profiler gives the operations; the log of oneDNN,
the library that does TensorFlow's heavy work on a CPU, gives the kernels it chose for this
processor. Each one's own time is summed. Two may run at once, so that the sum can be more than the
time that passed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from processor import measured_on
from table import header, row

from lenet_keras import MODERN, TUTORIAL, Recipe, load_mnist
from lenet_keras.minibatches import Minibatches
from lenet_keras.training import compiled, initial_model

N = 20
RECIPES = {
    "tutorial, float32": TUTORIAL,
    "tutorial, bfloat16": replace(TUTORIAL, precision="bfloat16"),
    "modern, minibatches of 500": replace(MODERN, batch_size=500),
}
WARM = "Warmed up."


def learning(recipe: Recipe) -> Callable[[], object]:
    """A function that learns N minibatches, as ``Training.fit`` does, whenever it is called."""
    learner = compiled(initial_model(recipe), recipe, N)
    minibatches = Minibatches(load_mnist("mnist").train, recipe)
    return lambda: learner.fit(minibatches, steps_per_epoch=N, shuffle=False, verbose=0)


def operations(recipe: Recipe) -> Counter[str]:
    """Milliseconds per minibatch, by layer and operation."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    learn = learning(recipe)
    learn()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        learn()
        tf.profiler.experimental.stop()
        (file,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
    spent: Counter[str] = Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if name.startswith("while/") and ":" in name:
                    path, operation = name.rsplit(":", 1)
                    spent[f"{place(path)}, {operation}"] += event.duration_ps / 1e9 / N
    return spent


def place(path: str) -> str:
    """The part of the network that an operation belongs to."""
    part = path.rpartition("StatefulPartitionedCall/")[2] or path
    backward = part.startswith("gradient_tape/")
    for layer in ("distort", "scale", "conv1", "pool1", "conv2", "pool2", "hidden", "logits"):
        if f"{layer}_" in part or f"{layer}/" in part:
            return f"{layer}, gradient" if backward else layer
    for sign, name in (("tanh", "tanh"), ("relu", "relu"), ("sgd", "update"), ("adam", "update")):
        if sign in part.lower():
            return f"{name}, gradient" if backward else name
    return "the rest"


def onednn_log(title: str) -> str:
    """What oneDNN prints of a recipe's minibatches: only a new process asks it to."""
    environment = os.environ | {"ONEDNN_VERBOSE": "1"}
    command = [sys.executable, __file__, title]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{title} failed with oneDNN's log:\n{done.stderr[-2000:]}")
    return done.stdout


def kernels(log: str) -> Counter[str]:
    """Milliseconds per minibatch, by primitive and kernel; nothing where there is no log."""
    spent: Counter[str] = Counter()
    for line in log.rpartition(WARM)[2].splitlines():
        # onednn_verbose,v1,primitive,exec,cpu,convolution,jit:avx512_core,backward_weights,...,ms
        fields = line.split(",")
        if fields[0] == "onednn_verbose" and fields[2:4] == ["primitive", "exec"]:
            primitive, kernel, direction = fields[5:8]
            what = primitive if direction == "undef" else f"{primitive}, {direction}"
            spent[f"{what}: {kernel or 'not named'}"] += float(fields[-1]) / N
    return spent


def print_kernels(log: str) -> None:
    found = re.search(r"info,(oneDNN v[\d.]+).*?info,cpu,isa:([^\n]+)", log, re.DOTALL)
    spent = kernels(log)
    if not (found and spent):
        print("\nThis TensorFlow keeps no log of oneDNN's kernels.")
        return
    print(f"\n{found[1]} uses of this processor: {found[2]}.\n")
    print_spent("oneDNN's kernel", spent)


def print_spent(what: str, spent: Counter[str]) -> None:
    """A table of the twelve that take longest."""
    total = sum(spent.values())
    most, others = spent.most_common(12), spent.most_common()[12:]
    if others:
        most.append(("all others", sum(milliseconds for _, milliseconds in others)))
    print(header(what, "ms per minibatch", "share"))
    for name, milliseconds in [*most, ("sum", total)]:
        print(row(name, f"{milliseconds:.2f}", f"{100 * milliseconds / total:.0f} %"))


def main() -> None:
    print(measured_on())
    for title, recipe in RECIPES.items():
        print(f"\n## {title}\n")
        spent = operations(recipe)
        print_spent("operation", spent)
        distortion = sum(ms for name, ms in spent.items() if name.startswith("distort"))
        if distortion:
            print(f"\nDistortion is {100 * distortion / sum(spent.values()):.0f} % of it.")
        print_kernels(onednn_log(title))


if __name__ == "__main__":
    if sys.argv[1:]:
        learn = learning(RECIPES[sys.argv[1]])
        learn()
        print(WARM, flush=True)
        learn()
    else:
        main()
