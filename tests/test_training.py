"""A run folder holds the truth about its training, and the same training gives the same bits."""

import csv
import itertools
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from lenet_keras import MODERN, TUTORIAL, build_lenet5, evaluate_lenet5, train
from lenet_keras.data import Mnist, Split
from lenet_keras.devices import native_precision
from lenet_keras.distortion import FADED
from lenet_keras.minibatches import Minibatches, to_learn
from lenet_keras.penned import NO_DIGIT
from lenet_keras.recipe import FAST, for_digits
from lenet_keras.run import RunError, load_model, load_record, new_run_dir
from lenet_keras.score import zero_one_loss
from lenet_keras.training import Training, TrainingError, compiled, initial_model

ROOT = Path(__file__).parent.parent
# On few digits; patience so short that it validates mid-epoch and stops by itself.
SMALL = replace(
    TUTORIAL, name="small", nkerns=(4, 6), n_hidden=20, batch_size=40, n_epochs=9, patience=20
)


@pytest.fixture(scope="module")
def few(digits) -> Mnist:
    def part(split, n):
        return Split(split.images[:n], split.labels[:n])

    return replace(digits, train=part(digits.train, 500), valid=part(digits.valid, 101))


@pytest.fixture(scope="module")
def run(few, tmp_path_factory):
    return train(SMALL, few, tmp_path_factory.mktemp("run") / "a")


def weights_of(run):
    return b"".join(w.tobytes() for w in run.model.get_weights())


def rows_of(folder):
    with open(folder / "history.csv") as file:
        return list(csv.DictReader(file))


def test_the_folder(run):
    names = {"model.keras", "history.csv", "run.json", "curve.png"}
    assert {path.name for path in run.folder.iterdir()} == names
    assert (run.folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((run.folder / "run.json").read_text())
    assert record["recipe"]["batch_size"] == 40 and record["recipe"]["seed"] == 23455
    assert record["versions"]["keras"] == keras.__version__
    assert str(run.folder) not in json.dumps(record)  # no path of anybody's machine


def test_what_it_saw_is_recorded_and_digits_never_call_themselves_mnist(run, few):
    assert run.record.data.digest == few.digest
    assert run.record.data.name == "digits"
    assert "mnist" not in repr(run.record.data).lower()
    changed = replace(few, test=Split(few.test.images ^ 1, few.test.labels))
    assert changed.digest != few.digest


def test_history_and_result_agree(run, few):
    rows, result = rows_of(run.folder), run.record.result
    assert " ".join(rows[0]) == "epoch iteration cost validation_error test_error seconds"
    # 13 minibatches an epoch, a validation every 10: mid-epoch
    assert [int(row["iteration"]) for row in rows[:3]] == [10, 20, 30]
    assert [int(row["epoch"]) for row in rows[:3]] == [1, 2, 3]
    errors = [float(row["validation_error"]) for row in rows]
    best = int(np.argmin(errors))
    assert result.best_validation_error == errors[best]
    assert result.best_iteration == int(rows[best]["iteration"])
    assert result.test_error == float(rows[best]["test_error"])
    # the test set is scored at a new best and nowhere else
    for i, row in enumerate(rows):
        assert bool(row["test_error"]) == (errors[i] < min(errors[:i], default=101))
    # 101 and 397 digits are no multiples of a minibatch: every digit was counted once
    assert result.best_validation_error == pytest.approx(
        100 * round(result.best_validation_error * 1.01) / 101, abs=1e-6
    )
    assert 100 * zero_one_loss(run.model, few.test) == pytest.approx(result.test_error, abs=1e-6)


def test_the_best_weights_are_kept(run, few):
    loaded = load_model(run.folder)
    for split, key in ((few.valid, "best_validation_error"), (few.test, "test_error")):
        assert 100 * zero_one_loss(loaded, split) == pytest.approx(
            getattr(run.record.result, key), abs=1e-6
        )


def test_zero_one_loss_counts_a_last_partial_batch():
    model = build_lenet5((1, 1), 1)  # all-zero logits: it says 0 of everything
    labels = np.array([0] * 500 + [1] * 3)
    assert zero_one_loss(model, Split(np.zeros((503, 28, 28), np.uint8), labels)) == 3 / 503


def test_same_recipe_same_bits(run, few, tmp_path):
    again = train(SMALL, few, tmp_path / "again")
    assert weights_of(again) == weights_of(run)
    without_time = [{k: v for k, v in row.items() if k != "seconds"} for row in rows_of(run.folder)]
    for row, other in zip(without_time, rows_of(again.folder), strict=True):
        other.pop("seconds")
        assert row == other
    other_seed = train(replace(SMALL, seed=1), few, tmp_path / "other")
    assert weights_of(other_seed) != weights_of(run)


def test_same_bits_in_another_process_on_a_busy_machine(run, tmp_path):
    """The order of sums must not depend on which thread was faster."""
    script = f"""
from dataclasses import replace
from lenet_keras import load_mnist, train
from lenet_keras.data import Split
from lenet_keras.recipe import Recipe
d = load_mnist("digits")
few = replace(d, train=Split(d.train.images[:500], d.train.labels[:500]),
              valid=Split(d.valid.images[:101], d.valid.labels[:101]))
train({SMALL!r}, few, {str(tmp_path / "busy")!r})
"""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    other = load_model(tmp_path / "busy").get_weights()
    assert b"".join(w.tobytes() for w in other) == weights_of(run)


def test_bfloat16_trains_but_scores_and_keeps_float32(few, tmp_path):
    before = keras.config.dtype_policy()
    recipe = replace(SMALL, precision="bfloat16", n_epochs=1)
    assert initial_model(recipe).get_layer("conv1").compute_dtype == "bfloat16"
    assert keras.config.dtype_policy() == before
    run = train(recipe, few, tmp_path / "b")
    assert run.model.get_layer("conv1").compute_dtype == "float32"
    float32 = train(replace(recipe, precision="float32"), few, tmp_path / "f")
    assert weights_of(run) != weights_of(float32)  # it did make a difference
    error = 100 * zero_one_loss(load_model(run.folder), few.valid)
    assert error == pytest.approx(run.record.result.best_validation_error, abs=1e-6)


@pytest.mark.parametrize(
    ("flags", "precision"),
    [("fma avx2", "float32"), ("avx2 avx512_bf16", "bfloat16"), ("amx_bf16 avx2", "bfloat16")],
)
def test_auto_is_bfloat16_where_the_processor_computes_in_it(
    flags, precision, few, tmp_path, monkeypatch
):
    read_text = Path.read_text
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda self, *a, **k: (
            f"flags : {flags}" if str(self) == "/proc/cpuinfo" else read_text(self, *a, **k)
        ),
    )
    recipe = replace(SMALL, precision="auto", n_epochs=1)
    assert initial_model(recipe).get_layer("conv1").compute_dtype == precision
    run = train(recipe, few, tmp_path / "auto")
    assert run.record.recipe == replace(recipe, precision=precision)  # it says which
    assert train(recipe, few, tmp_path / "auto", resume=True).record == run.record


@pytest.mark.parametrize(("generation", "precision"), [(7.5, "float32"), (8.0, "bfloat16")])
def test_auto_asks_the_gpu_where_there_is_one(generation, precision, monkeypatch):
    monkeypatch.setattr("lenet_keras.devices._gpu_generations", lambda: [generation])
    assert native_precision() == precision


SMALL_MODERN = replace(
    MODERN, nkerns=(4, 6), n_hidden=20, batch_size=50, n_epochs=3, precision="float32"
)


@pytest.fixture(scope="module")
def modern(few, tmp_path_factory):
    return train(SMALL_MODERN, few, tmp_path_factory.mktemp("modern") / "a")


def test_a_modern_run_keeps_the_network_alone(modern, few):
    loaded = load_model(modern.folder)  # in safe mode, without a layer of ours
    names = [layer.name for layer in loaded.layers]
    assert "distort" not in names and {"relu1", "relu2", "dropout1"} < set(names)
    assert 100 * zero_one_loss(loaded, few.valid) == pytest.approx(
        modern.record.result.best_validation_error, abs=1e-6
    )
    record = json.loads((modern.folder / "run.json").read_text())
    assert record["recipe"]["distortion"]["rotation"] == MODERN.distortion.rotation


def test_the_mean_of_the_last_weights_is_scored_and_kept(few, tmp_path, monkeypatch):
    def scored(averaged):
        """What is validated, epoch by epoch; the third is the best, then it gets worse."""
        seen, errors = [], iter([0.5, 0.4, 0.3, 0.6])

        def zero_one_loss(model, split):
            if split is few.test:
                return 0.1
            seen.append(model.get_weights())
            return next(errors)

        monkeypatch.setattr("lenet_keras.training.zero_one_loss", zero_one_loss)
        recipe = replace(SMALL, n_epochs=4, patience=10_000, averaged=averaged)
        run = train(recipe, few, tmp_path / str(averaged))
        return seen, run.model.get_weights()

    each, kept = scored(1)
    means, mean_kept = scored(2)
    for now, before, mean in zip(each[1:], each[:-1], means[1:], strict=True):
        for a, b, c in zip(now, before, mean, strict=True):
            np.testing.assert_allclose(c, (a + b) / 2, atol=1e-7)
    for ours, best in ((kept, each[2]), (mean_kept, means[2])):
        assert all(np.array_equal(a, b) for a, b in zip(ours, best, strict=True))


def test_distortions_fade_in_a_training(few):
    recipe = replace(SMALL, distortion=MODERN.distortion, fading=0.5, n_epochs=4, patience=10**6)
    training, seen = Training(recipe, few), []
    strengths = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(float(training.learner.layers[0].strength))
    )
    training.fit([strengths])
    assert seen == pytest.approx([1, 1, 1, (1 + FADED) / 2])


def test_weight_decay_shrinks_weights_beside_adams_steps(few):
    """The first step of AdamW is Adam's, from weights that are smaller by rate * decay."""
    recipe = replace(SMALL, optimizer="adam", learning_rate=0.01, batch_size=500, n_epochs=1)
    start = initial_model(recipe).get_weights()
    plain, decayed = (
        trained.network.get_weights()
        for trained in (Training(recipe, few), Training(replace(recipe, weight_decay=0.5), few))
        if trained.fit() is None
    )
    for before, without, after in zip(start, plain, decayed):
        np.testing.assert_allclose(after, without - 0.01 * 0.5 * before, atol=1e-6)


def test_minibatches_come_in_the_datas_order_or_in_a_new_one_each_epoch(few):
    def labeled(recipe):
        """The row number of every digit that `fit` gets, by epochs."""
        split = Split(few.train.images, np.arange(len(few.train.labels)))
        every = Minibatches(split, recipe)
        batches = [every[index][1] for index in range(len(every))]
        assert {len(rows) for rows in batches} == {40, 20}  # 500 digits
        return np.concatenate(batches).reshape(recipe.n_epochs, -1)

    three = replace(SMALL, n_epochs=3)
    rows = np.arange(len(few.train.labels))
    np.testing.assert_array_equal(labeled(three), [rows] * 3)
    shuffled = labeled(replace(three, shuffle=True))
    for order in shuffled:
        np.testing.assert_array_equal(np.sort(order), rows)
    assert len({order.tobytes() for order in shuffled}) == 3
    # of the seed and the epoch alone: a longer training begins the same way
    longer = labeled(replace(three, shuffle=True, n_epochs=5))
    np.testing.assert_array_equal(longer[:3], shuffled)
    assert (labeled(replace(three, shuffle=True, seed=1)) != shuffled).any()


def test_what_is_learned_beside_the_training_digits(few):
    recipe = replace(SMALL, penned=40, others=16)
    learned, n = to_learn(few, recipe), len(few.train.labels)
    trained, penned, others = np.split(learned.labels, (n, n + 40))
    np.testing.assert_array_equal(trained, few.train.labels)
    assert np.bincount(penned).tolist() == [2, 12, 2, 2, 4, 2, 6, 6, 2, 2]
    assert len(others) == 16 and (others == NO_DIGIT).all()
    assert to_learn(few, SMALL).images is few.train.images
    other = to_learn(few, replace(recipe, seed=1))
    np.testing.assert_array_equal(other.images[:n], learned.images[:n])
    assert (other.images[n:] != learned.images[n:]).any(axis=(1, 2)).all()


def test_the_cost_of_what_is_no_digit_is_least_where_no_class_is_likelier():
    def cost(label, logits):
        recipe = replace(SMALL, others=8)
        learner = compiled(initial_model(recipe), recipe, n_train_batches=10)
        return float(learner.loss(np.array([label]), np.array([logits], np.float32))[0])

    even, sure = [0.0] * 10, [9.0] + [0.0] * 9
    assert cost(NO_DIGIT, even) == pytest.approx(np.log(10), rel=1e-5)
    assert cost(NO_DIGIT, sure) == pytest.approx(np.log(np.exp(9) + 9) - 0.9, rel=1e-5)
    assert cost(0, sure) == pytest.approx(np.log(np.exp(9) + 9) - 9, rel=1e-3)
    assert cost(3, sure) == pytest.approx(np.log(np.exp(9) + 9), rel=1e-5)


def test_chance_is_seeded_too(modern, few, tmp_path):
    again = train(SMALL_MODERN, few, tmp_path / "again")
    assert weights_of(again) == weights_of(modern)
    for i, change in enumerate(({"shuffle": False}, {"distortion": None}, {"dropout": 0.0})):
        other = train(replace(SMALL_MODERN, **change), few, tmp_path / str(i))
        assert weights_of(other) != weights_of(modern), change


def test_the_cosine_rises_for_an_epoch_and_ends_at_0():
    recipe = replace(SMALL_MODERN, learning_rate=0.01, n_epochs=5)
    rate = compiled(initial_model(recipe), recipe, n_train_batches=10).optimizer._learning_rate
    rates = [float(rate(step)) for step in range(51)]
    assert rates[0] == 0 and rates[10] == pytest.approx(0.01) and rates[50] == pytest.approx(0)
    assert all(a < b for a, b in itertools.pairwise(rates[:11]))
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))


@pytest.mark.parametrize(
    ("n_train_batches", "patience", "at_once"),
    [(100, 10_000, 10), (13, 20, 1), (12, 10_000, 6), (7, 10_000, 7), (100, 30, 5)],
)
def test_no_validation_falls_between_the_minibatches_done_at_once(
    n_train_batches, patience, at_once
):
    recipe = replace(SMALL, patience=patience)
    learner = compiled(initial_model(recipe), recipe, n_train_batches)
    assert learner.steps_per_execution == at_once


def test_the_report_lines_are_the_tutorials(few, tmp_path, capsys):
    train(replace(SMALL, n_epochs=1, patience=10_000), few, tmp_path / "r")
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == ["... building the model", "... training"]
    assert out[2].startswith("epoch 1, minibatch 13/13, validation error ") and out[2].endswith(
        " %"
    )
    assert out[3].startswith("     epoch 1, minibatch 13/13, test error of best model ")
    assert out[4] == "Optimization complete."
    assert " % obtained at iteration 13, with test performance " in out[5]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda record: [], "cannot be read"),
        (lambda record: {}, "has no 'recipe'"),
        (lambda record: record | {"result": {"test_error": 1.0}}, "has no 'best_validation_error'"),
        (lambda record: record | {"epochs": "9"}, "its epochs is '9'"),
        (lambda record: record | {"versions": None}, "its versions is None"),
        (lambda record: record | {"data": 7}, "cannot be read"),
        (lambda record: record | {"recipe": {"nkerns": 3}}, "nkerns must be two whole numbers"),
    ],
)
def test_a_record_that_is_none_is_a_sentence(run, few, tmp_path, change, sentence):
    folder = shutil.copytree(run.folder, tmp_path / "changed")
    path = folder / "run.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(RunError, match=sentence) as caught:
        load_record(folder)
    assert str(path) in str(caught.value)
    path.write_text("[")
    with pytest.raises(RunError, match="cannot be read"):
        train(SMALL, few, folder, resume=True)


def test_another_training_is_not_taken_for_a_finished_one(run, few):
    assert train(SMALL, few, run.folder, resume=True).record == run.record
    with pytest.raises(RunError, match="averaged differ"):
        train(replace(SMALL, averaged=2), few, run.folder, resume=True)


def test_every_new_run_gets_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = {new_run_dir(SMALL) for _ in range(3)}  # within a second
    assert len(folders) == 3 and all(folder.is_dir() for folder in folders)


def test_a_finished_run_is_not_overwritten(run, few):
    before = (run.folder / "model.keras").read_bytes()
    with pytest.raises(RunError, match="already holds a finished run"):
        train(SMALL, few, run.folder)
    assert (run.folder / "model.keras").read_bytes() == before


def test_a_cost_that_is_no_number_ends_the_run_with_a_sentence(few, tmp_path):
    with pytest.raises(TrainingError, match=r"learning_rate=1e\+30 is too large"):
        train(replace(SMALL, learning_rate=1e30), few, tmp_path / "nan")
    assert not (tmp_path / "nan" / "run.json").exists()


@pytest.mark.parametrize("content", [None, b"", b"PK\x05\x06" + bytes(18), b"hello"])
def test_a_model_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "model.keras"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match="model") as caught:
        load_model(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_model_that_is_another_network(tmp_path):
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    unbuilt = keras.Sequential([keras.layers.Dense(3)])
    images = keras.Input((28, 28), dtype="uint8")
    flat = keras.layers.Flatten()(images)
    same_shapes = keras.Model(images, keras.layers.Dense(10, name="logits")(flat))
    for network, why in (
        (other, "its output is"),
        (unbuilt, "its output is"),
        (same_shapes, "layer conv1"),
    ):
        network.save(tmp_path / "other.keras")
        with pytest.raises(RunError, match=f"is another network: .*{why}"):
            load_model(tmp_path / "other.keras")


def test_evaluate_lenet5_has_the_tutorials_signature(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = evaluate_lenet5(0.05, 1, "digits", [3, 4], 100)
    assert run.record.recipe.nkerns == (3, 4) and run.record.recipe.learning_rate == 0.05
    assert run.folder.parent == Path("runs")


def test_tensorboard_logs(few, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(
        replace(SMALL, n_epochs=2),
        few,
        tmp_path / "tb",
        callbacks=[keras.callbacks.TensorBoard(tmp_path / "tb" / "tensorboard")],
    )
    events = EventAccumulator(str(run.folder / "tensorboard" / "train"))
    events.Reload()
    assert "epoch_validation_error" in events.Tags()["tensors"]


@pytest.mark.parametrize(("recipe", "limit"), [(TUTORIAL, 5.0), (FAST, 3.0)])
def test_a_newcomers_run_on_the_embedded_digits(recipe, limit, digits, tmp_path):
    run = train(for_digits(recipe), digits, tmp_path / "digits")
    assert run.record.result.test_error <= limit


# --- the reproduction itself ---


def compare(history, epochs=10):
    sys.path.insert(0, str(ROOT / "results"))
    try:
        from compare import LIMIT, compare
    finally:
        sys.path.pop(0)
    rows = compare(history, epochs)
    worst = max(abs(a - b) for _, theano, ours in rows for a, b in zip(theano, ours))
    return len(rows), worst, LIMIT


@pytest.mark.mnist
def test_the_first_epochs_are_theanos(mnist, tmp_path):
    run = train(replace(TUTORIAL, n_epochs=3), mnist, tmp_path / "mnist")
    n_epochs, worst, limit = compare(run.folder / "history.csv", 3)
    assert n_epochs == 3
    assert worst <= limit, f"{worst:.2f} points from Theano: TUTORIAL is no longer the tutorial's."


def test_the_committed_run_is_faithful():
    folder = ROOT / "results" / "tutorial"
    n_epochs, worst, limit = compare(folder / "history.csv")
    assert n_epochs == 10 and worst <= limit
    record = json.loads((folder / "run.json").read_text())
    rows = rows_of(folder)
    assert record["epochs"] == 200 == len(rows)
    best = min(rows, key=lambda row: float(row["validation_error"]))
    assert record["result"] == {
        "best_validation_error": float(best["validation_error"]),
        "best_iteration": int(best["iteration"]),
        "test_error": float(best["test_error"]),
    }
    assert abs(record["result"]["best_validation_error"] - 0.91) <= 0.05
    assert abs(record["result"]["test_error"] - 0.92) <= 0.05


@pytest.mark.mnist
def test_the_committed_model_has_the_errors_it_says(mnist):
    folder = ROOT / "results" / "tutorial"
    result = json.loads((folder / "run.json").read_text())["result"]
    model = load_model(folder)
    # another processor may round one digit on the edge the other way
    assert 100 * zero_one_loss(model, mnist.test) == pytest.approx(result["test_error"], abs=0.011)
    assert 100 * zero_one_loss(model, mnist.valid) == pytest.approx(
        result["best_validation_error"], abs=0.011
    )
