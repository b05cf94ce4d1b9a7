"""The tutorial's early stopping, to the integer, as a Keras callback.

The tutorial counts in minibatches, not epochs. It has patience for 10,000 of them. Every
time the validation error falls clearly (below 0.995 of the best so far) at minibatch
``iter``, patience becomes at least ``2 * iter``: a network that is still learning may train
for as long again as it has so far. Training ends at the first minibatch that patience does
not reach.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from lenet_keras.recipe import TUTORIAL

__all__ = ["Patience", "PatienceStopping", "Validation"]


@dataclass
class Patience:
    """The rule by itself: integers and comparisons, no network.

    ``iter`` counts minibatches from 0, as in the tutorial.
    """

    patience: int = TUTORIAL.patience
    patience_increase: int = TUTORIAL.patience_increase
    improvement_threshold: float = TUTORIAL.improvement_threshold
    best_validation_loss: float = math.inf
    best_iter: int = 0

    def validated(self, iter: int, validation_loss: float) -> bool:
        """Take note of a validation after minibatch ``iter``; is it a new best?"""
        if not validation_loss < self.best_validation_loss:
            return False
        if validation_loss < self.best_validation_loss * self.improvement_threshold:
            self.patience = max(self.patience, iter * self.patience_increase)
        self.best_validation_loss = validation_loss
        self.best_iter = iter
        return True

    def exhausted(self, iter: int) -> bool:
        """Does training end with minibatch ``iter``? To be asked after every one."""
        return self.patience <= iter


def validation_frequency(n_train_batches: int, patience: int) -> int:
    """After how many minibatches the tutorial validates: an epoch, or half its patience if less."""
    return min(n_train_batches, patience // 2)


@dataclass(frozen=True)
class Validation:
    """One look at the validation digits, as the tutorial reports it.

    epoch, minibatch_index, iteration: counted from 1. cost: the mean negative log-likelihood
    of this epoch's minibatches so far. Errors are fractions; test_error is None unless this
    was a new best.
    """

    epoch: int
    minibatch_index: int
    n_train_batches: int
    iteration: int
    cost: float
    validation_error: float
    test_error: float | None


class PatienceStopping(keras.callbacks.Callback):
    """Early stopping as ``evaluate_lenet5`` does it.

    Validates every ``validation_frequency`` minibatches, in the middle of an epoch if need be,
    scores the test set only at a new best, and looks at patience after every minibatch. The
    tutorial never uses its ``best_params``; this keeps the best weights and, when training ends,
    puts them back into the model that was validated.

    What it finds does not depend on ``steps_per_execution``; a value that would run past a
    validation is refused.

    Args:
        validate_model: gives a model's validation error, a fraction.
        test_model: the same for the test set, or None.
        patience: look at this many minibatches regardless; at least 2.
        patience_increase: wait this much longer when a new best is found.
        improvement_threshold: a relative improvement of this much is considered significant.
        candidate: makes, from the model being trained, the one to validate, test and keep;
            without it, that is the trained model itself.
        on_validation: called with each new ``Validation``.
        earlier: the validations before this ``fit``, if it resumes a training.
        best_weights: the weights at the best of these.

    Attributes, from when ``fit`` begins:
        validations: all of them, the earlier ones too.
        best_weights: at the best validation; None before the first.
        best_iteration: its minibatch, counted from 1; 0 before the first.
        best_validation_error, test_error: fractions, there.
        stopped_iteration: the minibatch that ended training, from 1; None if patience held.
        rule: the ``Patience`` within.

    The latest validation error is also in the epoch's logs, as ``validation_error``.

    Raises:
        ValueError: the length of an epoch is unknown, or ``steps_per_execution`` runs past a
            validation.
    """

    def __init__(
        self,
        validate_model: Callable[[keras.Model], float],
        test_model: Callable[[keras.Model], float] | None = None,
        *,
        patience: int = TUTORIAL.patience,
        patience_increase: int = TUTORIAL.patience_increase,
        improvement_threshold: float = TUTORIAL.improvement_threshold,
        candidate: Callable[[keras.Model], keras.Model] | None = None,
        on_validation: Callable[[Validation], None] | None = None,
        earlier: Sequence[Validation] = (),
        best_weights: list[np.ndarray] | None = None,
    ) -> None:
        super().__init__()
        self.validate_model = validate_model
        self.test_model = test_model
        self.candidate = candidate
        self.on_validation = on_validation
        self._begin_with = Patience(patience, patience_increase, improvement_threshold)
        self._earlier, self._earlier_best = earlier, best_weights

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.rule = replace(self._begin_with)
        self.validations: list[Validation] = []
        self.best_weights: list[np.ndarray] | None = None
        self.best_iteration = 0
        self.best_validation_error = math.inf
        self.test_error: float | None = None
        self.stopped_iteration: int | None = None
        self._validated: keras.Model | None = None
        for validation in self._earlier:
            self._take_note(validation, self._earlier_best)
        self.n_train_batches = self.params.get("steps")
        if not self.n_train_batches:
            raise ValueError(
                "PatienceStopping must know how many minibatches an epoch has: give fit "
                "arrays, or steps_per_epoch."
            )
        self.validation_frequency = validation_frequency(self.n_train_batches, self.rule.patience)
        # The weights cannot be read within an execution, so a validation must be due
        # only where an execution ends. At the end of an epoch one always does.
        steps = self.model.steps_per_execution
        if self.validation_frequency < self.n_train_batches and (
            self.validation_frequency % steps or self.n_train_batches % steps
        ):
            raise ValueError(
                f"steps_per_execution={steps} would run past a validation: one is due every "
                f"{self.validation_frequency} minibatches of {self.n_train_batches} in an "
                "epoch. Use a divisor of both, or 1."
            )

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch = epoch
        self._next_index = 0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        # With steps_per_execution > 1 this is called once for several minibatches, and the
        # last group of an epoch may be numbered past its end.
        last_index = min(batch, self.n_train_batches - 1)
        for index in range(self._next_index, last_index + 1):
            iter = self._epoch * self.n_train_batches + index
            if (iter + 1) % self.validation_frequency == 0:
                self._validate(iter, index, float((logs or {}).get("loss", math.nan)))
            if self.rule.exhausted(iter):
                self.stopped_iteration = iter + 1
                self.model.stop_training = True
                break
        self._next_index = last_index + 1

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        # for the progress bar, TensorBoard and fit's own History
        if logs is not None and self.validations:
            logs["validation_error"] = self.validations[-1].validation_error

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._validated is not None and self.best_weights is not None:
            self._validated.set_weights(self.best_weights)

    def _validate(self, iter: int, index: int, cost: float) -> None:
        model = self._validated = self.candidate(self.model) if self.candidate else self.model
        validation_error, test_error = self.validate_model(model), None
        if validation_error < self.best_validation_error and self.test_model is not None:
            test_error = self.test_model(model)
        validation = Validation(
            epoch=self._epoch + 1,
            minibatch_index=index + 1,
            n_train_batches=self.n_train_batches,
            iteration=iter + 1,
            cost=cost,
            validation_error=validation_error,
            test_error=test_error,
        )
        self._take_note(validation, model.get_weights())
        if self.on_validation is not None:
            self.on_validation(validation)

    def _take_note(self, validation: Validation, weights: list[np.ndarray] | None) -> None:
        self.validations.append(validation)
        if self.rule.validated(validation.iteration - 1, validation.validation_error):
            self.best_weights = weights
            self.best_iteration = validation.iteration
            self.best_validation_error = validation.validation_error
            self.test_error = validation.test_error
