"""Where the time of a minibatch goes: TensorFlow's profiler, operation by operation.

    LENET_KERAS_DATA=... python benchmarks/operations.py > benchmarks/results/operations.md

Twenty minibatches of 500 after a warm-up, each operation's own time summed (two may run at
once, so that the sum can be more than the time that passed).
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from lenet_keras import MODERN, TUTORIAL, Recipe, load_mnist
from lenet_keras.training import compiled, initial_model

N = 20


def profile(recipe: Recipe) -> Counter[str]:
    """Milliseconds per minibatch, by layer and operation."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    images, labels = load_mnist(os.environ.get("LENET_KERAS_DATA", "mnist")).train
    images, labels = images[: N * recipe.batch_size], labels[: N * recipe.batch_size]
    learner = compiled(initial_model(recipe), recipe, N)

    def epoch() -> None:
        learner.fit(images, labels, batch_size=recipe.batch_size, shuffle=False, verbose=0)

    epoch()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        epoch()
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


def main() -> None:
    recipes = {
        "tutorial, float32": TUTORIAL,
        "tutorial, bfloat16": replace(TUTORIAL, precision="bfloat16"),
        "modern, minibatches of 500": replace(MODERN, batch_size=500),
    }
    for title, recipe in recipes.items():
        spent = profile(recipe)
        total = sum(spent.values())
        print(f"## {title}\n\n| operation | ms per minibatch | share |\n| --- | ---: | ---: |")
        for name, milliseconds in spent.most_common(12):
            print(f"| {name} | {milliseconds:.2f} | {100 * milliseconds / total:.0f} % |")
        rest = total - sum(milliseconds for _, milliseconds in spent.most_common(12))
        print(f"| all others | {rest:.2f} | {100 * rest / total:.0f} % |")
        print(f"| sum | {total:.2f} | |")
        distortion = sum(ms for name, ms in spent.items() if name.startswith("distort"))
        if distortion:
            print(f"\nDistortion is {100 * distortion / total:.0f} % of it.")
        print(flush=True)


if __name__ == "__main__":
    main()
