"""The whole run as one compiled program does what training.py does, patience included."""

SCRIPT = """
import json, sys, tempfile
from dataclasses import replace
import numpy as np
sys.path.insert(0, "benchmarks")
from gpu import whole_run
from lenet_keras import TUTORIAL, load_mnist, train
from lenet_keras.data import Split

digits = load_mnist("digits")
part = lambda split, n: Split(split.images[:n], split.labels[:n])
few = replace(digits, train=part(digits.train, 400), valid=part(digits.valid, 101))
runs, n_test = [], len(few.test.labels)
small = replace(TUTORIAL, nkerns=(4, 6), n_hidden=20, batch_size=20, n_epochs=9)
for patience, increase in ((45, 1), (1000, 2)):
    recipe = replace(small, patience=patience, patience_increase=increase)
    result = whole_run(recipe, few)()
    n = int(result["epoch"])
    with tempfile.TemporaryDirectory() as folder:
        run = train(recipe, few, folder)
        rows = [line.split(",") for line in open(folder + "/history.csv").read().split()[1:]]
    runs.append({
        "compiled": {
            "valid": result["valid_errors"][:n].tolist(),
            "test": result["test_errors"][:n].tolist(),
            "iterations": int(result["iter"]),
            "best": int(result["best_iteration"]),
        },
        "fit": {
            "valid": [round(float(row[3]) * 1.01) for row in rows],
            "test": [round(float(row[4]) * n_test / 100) if row[4] else -1 for row in rows],
            "iterations": run.record.iterations,
            "best": run.record.result.best_iteration,
        },
    })
print(json.dumps(runs))
"""


def test_one_compiled_program_is_the_same_training(on_jax):
    runs = on_jax(SCRIPT)
    for run in runs:
        assert run["compiled"]["iterations"] == run["fit"]["iterations"]
        assert len(run["compiled"]["valid"]) == len(run["fit"]["valid"])
        # the same sums in another order: a digit on the edge may fall to the other side
        for split in ("valid", "test"):
            for ours, theirs in zip(run["compiled"][split], run["fit"][split]):
                assert abs(ours - theirs) <= 1
    assert runs[0]["compiled"]["iterations"] == 46  # patience ended it within an epoch
    assert runs[1]["compiled"]["iterations"] == 9 * 20
