"""Two devices learn what one does, to within rounding. Here they are two halves of a CPU."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from lenet_keras import TUTORIAL, train
from lenet_keras.cli import main
from lenet_keras.devices import DeviceError, check_devices

PROCESS = """
import json, sys
from dataclasses import replace
from pathlib import Path
import keras
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    half = tf.config.LogicalDeviceConfiguration()
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [half, half])
from lenet_keras import MODERN, TUTORIAL, load_mnist, train, training
from lenet_keras.data import Split
from lenet_keras.devices import DeviceError, check_devices

digits = load_mnist("digits")
few = replace(digits, train=Split(*(each[:492] for each in digits.train)))  # the last has 12
sizes = {"nkerns": (4, 6), "n_hidden": 20, "batch_size": 40, "n_epochs": 4}
recipes = {"tutorial": replace(TUTORIAL, learning_rate=0.3, **sizes)}
# TensorFlow's devices draw dropout and distortions each for itself
if keras.backend.backend() == "jax":
    recipes["modern"] = replace(MODERN, precision="float32", **sizes)
found = {}
folder = Path(sys.argv[1])

def outcome(run):
    lines = (run.folder / "history.csv").read_text().splitlines()[1:]
    weights = [float(abs(weights).sum()) for weights in run.model.get_weights()]
    # all but the seconds
    return [[float(x or -1) for x in line.split(",")[:-1]] for line in lines], weights

for name, recipe in recipes.items():
    found[name] = {n: outcome(train(recipe, few, folder / f"{name}{n}", devices=n)) for n in (1, 2)}

score, scored = training.zero_one_loss, []
def dies(model, split):
    scored.append(len(split.labels))
    if scored.count(len(few.valid.labels)) == 3:
        raise KeyboardInterrupt
    return score(model, split)
training.zero_one_loss = dies
try:
    train(recipes["tutorial"], few, folder / "resumed", devices=2)
except KeyboardInterrupt:
    training.zero_one_loss = score
found["tutorial"]["resumed"] = outcome(
    train(recipes["tutorial"], few, folder / "resumed", devices=2, resume=True)
)

found["sentences"] = []
for n, size in ((2, 41), (2, 491), (3, 40)):
    try:
        check_devices(n, 40 if size == 491 else size, 491 if size == 491 else 40 * size)
    except DeviceError as error:
        found["sentences"].append(str(error))
print(json.dumps(found))
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_learn_what_one_does(backend, tmp_path):
    pytest.importorskip(backend)
    two = {"KERAS_BACKEND": backend, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, "-c", PROCESS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **two})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("sentences") == [
        "2 devices cannot share a minibatch of 41 digits evenly: choose another number of them.",
        "2 devices cannot share a minibatch of 11 digits evenly: choose another number of them.",
        "3 devices were requested, but Keras sees 2: cpu:0, cpu:1.",
    ]
    resumed = found["tutorial"].pop("resumed")
    assert resumed == found["tutorial"]["2"]  # to the bit
    for name, (one, both) in ((name, runs.values()) for name, runs in found.items()):
        errors = [row[3] for row in one[0]]
        assert len(errors) == 4 and errors[-1] < errors[0] - 10, name  # it did learn
        for row, other in zip(one[0], both[0], strict=True):
            # errors in percent: at most one of the 388 or 397 digits on the edge
            assert other == pytest.approx(row, rel=1e-3, abs=0.26), name
        assert one[1] == pytest.approx(both[1], rel=1e-4)
    assert json.loads((tmp_path / "tutorial2" / "run.json").read_text())["devices"] == 2


def test_fewer_devices_than_asked_for(digits, tmp_path, capsys):
    check_devices(1, 7, 11)
    with pytest.raises(DeviceError, match="64 devices were requested"):
        train(replace(TUTORIAL, batch_size=64), digits, tmp_path / "run", devices=64)
    out = str(tmp_path / "run")
    assert main(["train", "--data", "digits", "--devices", "64", "--out", out]) == 1
    err = capsys.readouterr().err
    assert "lenet-keras: 64 devices were requested" in err and err.count("\n") == 1
    assert not list((tmp_path / "run").glob("*"))
