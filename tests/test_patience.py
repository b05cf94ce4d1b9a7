"""PatienceStopping does what the tutorial's loop does, to the integer."""

import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lenet_keras.patience import Patience, PatienceStopping


def tutorial_loop(losses, n_epochs, n_train_batches, patience, patience_increase, threshold):
    """The tutorial's training loop, transcribed, with Python 2's division; returns what it did."""
    losses = iter(losses)
    validation_frequency = min(n_train_batches, patience // 2)
    best_validation_loss, best_iter, tested, trace, validations = math.inf, 0, [], [], []
    epoch, done_looping, iter_ = 0, False, 0
    while (epoch < n_epochs) and (not done_looping):
        epoch = epoch + 1
        for minibatch_index in range(n_train_batches):
            iter_ = (epoch - 1) * n_train_batches + minibatch_index
            if (iter_ + 1) % validation_frequency == 0:
                this_validation_loss = next(losses)
                validations.append((epoch, minibatch_index + 1, iter_ + 1, this_validation_loss))
                if this_validation_loss < best_validation_loss:
                    if this_validation_loss < best_validation_loss * threshold:
                        patience = max(patience, iter_ * patience_increase)
                    best_validation_loss = this_validation_loss
                    best_iter = iter_
                    tested.append(iter_ + 1)
            trace.append(patience)
            if patience <= iter_:
                done_looping = True
                break
    return SimpleNamespace(
        stopped=iter_ + 1 if done_looping else None,
        best=(best_iter + 1, best_validation_loss),
        tested=tested,
        trace=trace,
        validations=validations,
    )


class FakeModel:
    """As much of a model as the callback touches: its one weight is the number of minibatches."""

    stop_training = False

    def __init__(self, steps_per_execution=1):
        self.steps_per_execution = steps_per_execution
        self.weights = 0

    def get_weights(self):
        return [self.weights]

    def set_weights(self, weights):
        (self.weights,) = weights


def fit(callback, n_epochs, n_train_batches, steps_per_execution=1, after_minibatch=lambda: None):
    """Calls the callback as Keras's fit does."""
    model = FakeModel(steps_per_execution)
    callback.set_model(model)
    callback.set_params({"epochs": n_epochs, "steps": n_train_batches, "verbose": 0})
    callback.on_train_begin()
    for epoch in range(n_epochs):
        callback.on_epoch_begin(epoch)
        for step in range(0, n_train_batches, steps_per_execution):
            model.weights += min(steps_per_execution, n_train_batches - step)
            # Keras numbers the last group past the end of the epoch
            callback.on_train_batch_end(step + steps_per_execution - 1, {"loss": 1.0})
            after_minibatch()
            if model.stop_training:
                break
        callback.on_epoch_end(epoch, {})
        if model.stop_training:
            break
    callback.on_train_end()
    return model


cases = st.fixed_dictionaries(
    {
        "losses": st.lists(st.integers(0, 40).map(lambda n: n / 40), min_size=300, max_size=300),
        "n_epochs": st.integers(1, 12),
        "n_train_batches": st.integers(1, 20),
        "patience": st.integers(2, 80),
        "patience_increase": st.integers(1, 4),
        "threshold": st.sampled_from([0.5, 0.9, 0.995, 1.0]),
    }
)


@given(cases)
@example(
    {
        "losses": [1 - i / 301 for i in range(300)],
        "n_epochs": 12,
        "n_train_batches": 20,
        "patience": 7,
        "patience_increase": 2,
        "threshold": 0.995,
    }
)
def test_it_is_the_tutorials_loop(case):
    theirs = tutorial_loop(**case)
    losses, tested, trace, seen = iter(case["losses"]), [], [], []

    def test_model(model):
        tested.append(model.weights)
        return 0.5

    callback = PatienceStopping(
        lambda model: next(losses),
        test_model,
        patience=case["patience"],
        patience_increase=case["patience_increase"],
        improvement_threshold=case["threshold"],
        on_validation=lambda v: seen.append(
            (v.epoch, v.minibatch_index, v.iteration, v.validation_error)
        ),
    )
    model = fit(
        callback,
        case["n_epochs"],
        case["n_train_batches"],
        after_minibatch=lambda: trace.append(callback.rule.patience),
    )
    assert callback.stopped_iteration == theirs.stopped
    assert seen == theirs.validations
    assert tested == theirs.tested
    assert trace == theirs.trace
    if seen:
        assert (callback.best_iteration, callback.best_validation_error) == theirs.best
        assert model.weights == callback.best_iteration  # the best weights are back


@given(cases, st.integers(2, 10))
def test_steps_per_execution_changes_nothing(case, steps):
    def run(steps_per_execution):
        losses = iter(case["losses"])
        callback = PatienceStopping(
            lambda model: next(losses),
            lambda model: model.weights / 1000,
            patience=case["patience"],
        )
        model = fit(callback, case["n_epochs"], case["n_train_batches"], steps_per_execution)
        found = (
            callback.stopped_iteration,
            callback.best_iteration,
            callback.best_validation_error,
            callback.test_error,
            callback.rule,
        )
        return found if callback.best_iteration == 0 else (*found, model.weights)

    frequency, length = min(case["n_train_batches"], case["patience"] // 2), case["n_train_batches"]
    if frequency < length and (frequency % steps or length % steps):
        with pytest.raises(ValueError, match="would run past a validation"):
            run(steps)
    else:
        assert run(steps) == run(1)


def test_steps_per_execution_in_a_real_fit():
    def run(steps_per_execution):
        keras.utils.set_random_seed(3)
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(70, 4)).astype("float32"), rng.integers(0, 3, 70)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model.compile(
            keras.optimizers.SGD(0.5),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=steps_per_execution,
            jit_compile=False,
        )

        def error(model):
            return float((model.predict(x, verbose=0).argmax(1) != y).mean())

        seen = []
        stopping = PatienceStopping(error, error, patience=24, on_validation=seen.append)
        model.fit(x, y, batch_size=10, epochs=40, shuffle=False, verbose=0, callbacks=[stopping])
        assert stopping.stopped_iteration is not None
        return (
            stopping.stopped_iteration,
            stopping.best_iteration,
            stopping.test_error,
            [(v.epoch, v.iteration, v.validation_error) for v in seen],
            [w.tolist() for w in model.get_weights()],
        )

    assert run(1) == run(3) == run(7)


def test_the_default_is_the_tutorials():
    rule = Patience()
    # 0.995 of 0.0100 is 0.00995: one image fewer of 10,000 does count below 200 errors.
    assert rule.validated(99, 0.0100) and rule.patience == 10_000
    assert rule.validated(6_999, 0.0099) and rule.patience == 13_998
    assert rule.validated(7_999, 0.00986) and rule.patience == 13_998  # best, but not clearly
    assert not rule.validated(8_999, 0.00986)
    assert rule.best_iter == 7_999
    assert not rule.exhausted(13_997) and rule.exhausted(13_998)


def test_what_it_refuses():
    with pytest.raises(ValueError, match="how many minibatches"):
        fit_unknown = PatienceStopping(lambda model: 0.0)
        fit_unknown.set_model(FakeModel())
        fit_unknown.set_params({"steps": None})
        fit_unknown.on_train_begin()


def test_the_same_callback_can_be_used_twice():
    callback = PatienceStopping(lambda model: 1 / (1 + model.weights), patience=4)
    fit(callback, 3, 5)
    first = (callback.best_iteration, callback.best_validation_error, callback.rule)
    fit(callback, 3, 5)
    assert (callback.best_iteration, callback.best_validation_error, callback.rule) == first
