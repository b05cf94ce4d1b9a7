"""How the network learns: a recipe and digits in, weights out. No file is written here.

>>> training = Training(TUTORIAL, load_mnist())
>>> training.fit()
>>> training.stopping.test_error  # and training.network has the weights of that moment
0.0096

The room ``run`` above it keeps everything about a training in a folder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
from keras import ops

from lenet_keras.data import Mnist
from lenet_keras.devices import building_on, check_devices, fitting_on, native_precision
from lenet_keras.distortion import Distort, Fading
from lenet_keras.errors import LenetKerasError
from lenet_keras.memory import keep_freed_memory
from lenet_keras.minibatches import Minibatches, to_learn
from lenet_keras.model import N_CLASSES, build_lenet5
from lenet_keras.patience import PatienceStopping, Validation, validation_frequency
from lenet_keras.recipe import Recipe
from lenet_keras.score import Averaged, zero_one_loss

__all__ = [
    "State",
    "Training",
    "TrainingError",
    "compiled",
    "initial_model",
    "optimizer_of",
    "target_of",
]


class TrainingError(LenetKerasError):
    """A training failed, or cannot be resumed."""


def initial_model(recipe: Recipe) -> keras.Model:
    """The recipe's network with its initial weights. Seeds all other randomness too."""
    keras.utils.set_random_seed(recipe.seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # every sum in a fixed order, whichever thread is faster
        tf.config.experimental.enable_op_determinism()
        keep_freed_memory()
    precision = native_precision() if recipe.precision == "auto" else recipe.precision
    sizes = (recipe.nkerns, recipe.n_hidden, recipe.seed)
    return build_lenet5(*sizes, recipe.activation, recipe.dropout, precision)


def compiled(model: keras.Model, recipe: Recipe, n_train_batches: int) -> keras.Model:
    """The model that ``fit`` is called on: the network itself, or behind its distortions.

    Args:
        model: from ``initial_model``; it is trained in place.
        recipe: the optimizer and its schedule, the distortion.
        n_train_batches: minibatches in an epoch; the schedule and the validations count them.
    """
    distort = [Distort(recipe.distortion, recipe.seed)] if recipe.distortion else []
    learner = keras.Sequential([*distort, model]) if distort else model
    at_once = math.gcd(n_train_batches, validation_frequency(n_train_batches, recipe.patience))
    if keras.backend.backend() == "torch":
        at_once = 1  # Keras on PyTorch has no other
    learner.compile(
        optimizer=optimizer_of(recipe, n_train_batches),
        loss=_unsure_of_others
        if recipe.others
        else keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float32"),
        # Python takes a look every few minibatches only; a validation never falls in between
        steps_per_execution=max(n for n in range(1, 11) if at_once % n == 0),
    )
    learner.optimizer.build(learner.trainable_variables)
    return learner


def optimizer_of(recipe: Recipe, n_train_batches: int) -> keras.optimizers.Optimizer:
    """The recipe's, with its schedule, which counts minibatches."""
    rate = recipe.learning_rate
    if recipe.schedule == "cosine":
        fall = max(1, (recipe.n_epochs - 1) * n_train_batches)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, fall, warmup_target=rate, warmup_steps=n_train_batches
        )
    if recipe.weight_decay:
        return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
    return {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}[recipe.optimizer](rate)


def _unsure_of_others(labels: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Negative log-likelihood; of NO_DIGIT the mean over all classes, least where all are 1/10."""
    target = target_of(ops.reshape(labels, (-1,)))
    return keras.losses.categorical_crossentropy(
        target, ops.cast(logits, "float32"), from_logits=True
    )


def target_of(labels: keras.KerasTensor) -> keras.KerasTensor:
    """The probabilities to learn, [..., 10]: 1 for the label; of NO_DIGIT 1/10 for each class."""
    target = ops.one_hot(ops.cast(labels, "int32"), N_CLASSES)  # or all 0
    return target + (1 - ops.sum(target, axis=-1, keepdims=True)) / N_CLASSES


@dataclass(frozen=True)
class State:
    """Where a training stands after a whole number of epochs: all that the rest depends on.

    validations: so far; patience follows from them. variables: weights, the optimizer's moments
    and steps, states of random generators, in Keras's order. latest: the weights at each of the
    validations that are averaged, the newest last. best_weights: at the best validation.
    """

    validations: Sequence[Validation] = ()
    variables: Sequence[np.ndarray] = ()
    latest: Sequence[list[np.ndarray]] = ()
    best_weights: list[np.ndarray] | None = None


class Training:
    """A network, the digits it learns, and all that changes while it does.

    Args:
        recipe: every hyperparameter.
        mnist: what to learn; minibatches are taken in its order.
        devices: share every minibatch evenly among the first n devices that Keras sees.
        initial_weights: in place of the recipe's, as ``keras.Model.get_weights`` gives them.
        state: where to resume, if this training began before.

    Attributes:
        network: float32; after ``fit``, with the weights of the best validation.
        stopping: the ``PatienceStopping``, which knows the validations and the best of them.

    Raises:
        DeviceError: there are fewer devices, or they cannot share a minibatch evenly.
        TrainingError: the state is that of another network or another Keras.
    """

    def __init__(
        self,
        recipe: Recipe,
        mnist: Mnist,
        *,
        devices: int = 1,
        initial_weights: list[np.ndarray] | None = None,
        state: State | None = None,
    ) -> None:
        self.learned = to_learn(mnist, recipe)
        check_devices(devices, recipe.batch_size, len(self.learned.labels))
        self.recipe, self.mnist, self.devices = recipe, mnist, devices
        self.n_train_batches = math.ceil(len(self.learned.labels) / recipe.batch_size)
        # scored and kept in float32, as it will be used, whatever it is trained in
        self.network = initial_model(replace(recipe, precision="float32"))
        with building_on(devices):
            trained = initial_model(recipe)
            self.learner = compiled(trained, recipe, self.n_train_batches)
        if initial_weights is not None:
            trained.set_weights(initial_weights)
        if state is not None:
            self._restore(state.variables)
        state = state or State()
        self.first_epoch = state.validations[-1].epoch if state.validations else 0
        self._averaged = Averaged(self.network, recipe.averaged, state.latest)
        self.stopping = PatienceStopping(
            validate_model=lambda model: zero_one_loss(model, mnist.valid),
            test_model=lambda model: zero_one_loss(model, mnist.test),
            patience=recipe.patience,
            patience_increase=recipe.patience_increase,
            improvement_threshold=recipe.improvement_threshold,
            candidate=self._averaged,
            on_validation=self._refuse_divergence,
            earlier=state.validations,
            best_weights=state.best_weights,
        )

    def fit(self, callbacks: Sequence[keras.callbacks.Callback] = ()) -> None:
        """Learn, until patience or the recipe's epochs end.

        Args:
            callbacks: Keras's own or yours, called after ``stopping``.

        Raises:
            TrainingError: the cost became NaN or infinite.
        """
        first = self.learner.layers[0]
        fading = [Fading(first, self.recipe)] if isinstance(first, Distort) else []
        with fitting_on(self.devices):
            self.learner.fit(
                Minibatches(self.learned, self.recipe, self.first_epoch),
                initial_epoch=self.first_epoch,
                epochs=self.recipe.n_epochs,
                steps_per_epoch=self.n_train_batches,
                shuffle=False,  # the minibatches have their order
                verbose=0,
                callbacks=[*fading, self.stopping, *callbacks],
            )

    def state(self) -> State:
        """Where the training stands; to be asked in a callback's ``on_epoch_end``."""
        learner, stopping = self.stopping.model, self.stopping  # synchronized, on JAX too
        variables = [np.asarray(variable) for variable in _variables(learner)]
        latest = list(self._averaged.latest)
        return State(list(stopping.validations), variables, latest, stopping.best_weights)

    def _restore(self, values: Sequence[np.ndarray]) -> None:
        variables = _variables(self.learner)
        if [tuple(v.shape) for v in variables] != [value.shape for value in values]:
            raise TrainingError(f"It has other variables than Keras {keras.__version__} makes.")
        for variable, value in zip(variables, values):
            variable.assign(value)

    def _refuse_divergence(self, validation: Validation) -> None:
        if not math.isfinite(validation.cost):
            raise TrainingError(
                f"The cost was {validation.cost} in epoch {validation.epoch}: "
                f"learning_rate={self.recipe.learning_rate} is too large."
            )


def _variables(learner: keras.Model) -> list[keras.Variable]:
    """All that training changes."""
    return [*learner.variables, *learner.optimizer.variables]
