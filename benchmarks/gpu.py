"""The tutorial's whole training as one program on the accelerator: Keras on JAX.

    KERAS_BACKEND=jax python benchmarks/gpu.py [epochs]

What the tutorial's shared variables and ``givens`` were for, taken to the end: the digits
live on the device, a minibatch is a slice by its index, and minibatches, validations, the
patience rule and the best weights are inside one compiled loop. The host starts it and waits
for the result. Prints the seconds of that, without and with compilation, the result, and
what part of the device's own float32 matrix product rate that was.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import lax
from processor import measured_on
from speed import SCORING_FLOP, TRAINING_FLOP, product_rate

from lenet_keras import TUTORIAL, Recipe, load_mnist
from lenet_keras.data import Mnist, Split
from lenet_keras.training import initial_model

State = dict[str, Any]  # all that changes in a run: weights, slots, patience, what was counted


@dataclass(frozen=True, eq=False)
class Program:
    """What the compiled loop does: functions from state to state, and what never changes.

    model, optimizer: asked for their arithmetic alone; the weights and slots are in the state.
    train, valid, test: images and labels, on the device.
    """

    recipe: Recipe
    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    train: tuple[jax.Array, jax.Array]
    valid: tuple[jax.Array, jax.Array]
    test: tuple[jax.Array, jax.Array]

    @property
    def n_train_batches(self) -> int:
        return len(self.train[1]) // self.recipe.batch_size

    def run(self, weights: list[jax.Array], slots: list[jax.Array]) -> State:
        """Epochs until patience or the recipe ends them."""
        recipe = self.recipe
        state = {
            "weights": weights,
            "slots": slots,
            "best_weights": weights,
            "epoch": 0,
            "iter": 0,
            "patience": recipe.patience,
            "best_wrong": jnp.array(np.iinfo(np.int32).max, jnp.int32),
            "best_iteration": 0,
            "valid_errors": jnp.zeros(recipe.n_epochs, jnp.int32),
            "test_errors": jnp.zeros(recipe.n_epochs, jnp.int32),
            "stop": False,
        }
        return lax.while_loop(
            lambda state: (state["epoch"] < recipe.n_epochs) & ~state["stop"], self.epoch, state
        )

    def epoch(self, state: State) -> State:
        """Every minibatch that patience allows; a validation if those were all."""
        n = self.n_train_batches
        # patience is looked at after every minibatch, and only a validation can raise it
        steps = jnp.clip(state["patience"] - state["epoch"] * n + 1, 0, n)
        start = state["weights"], state["slots"]
        weights, slots = lax.fori_loop(0, steps, self.train_model, start)
        state = {**state, "weights": weights, "slots": slots, "iter": state["iter"] + steps}
        return lax.cond(steps == n, self.validate, lambda state: {**state, "stop": True}, state)

    def train_model(self, index: jax.Array, learner: tuple[list, list]) -> tuple[list, list]:
        """Learn minibatch ``index``."""
        weights, slots = learner
        size = self.recipe.batch_size
        images, labels = (lax.dynamic_slice_in_dim(part, index * size, size) for part in self.train)
        gradients = jax.grad(self.cost)(weights, images, labels)
        return self.optimizer.stateless_apply(slots, gradients, weights)

    def cost(self, weights: list[jax.Array], images: jax.Array, labels: jax.Array) -> jax.Array:
        logits, _ = self.model.stateless_call(weights, [], images, training=True)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)

    def errors(self, weights: list[jax.Array], images: jax.Array, labels: jax.Array) -> jax.Array:
        """How many digits are wrong."""
        logits, _ = self.model.stateless_call(weights, [], images)
        return jnp.sum(logits.argmax(axis=1) != labels, dtype=jnp.int32)

    def validate(self, state: State) -> State:
        """Score the validation digits, the test digits at a new best, and see to patience."""
        weights, recipe = state["weights"], self.recipe
        wrong = self.errors(weights, *self.valid)
        best = wrong < state["best_wrong"]
        clearly = wrong < state["best_wrong"] * recipe.improvement_threshold
        iter = state["iter"] - 1  # counted from 0, as the tutorial does
        longer = jnp.maximum(state["patience"], iter * recipe.patience_increase)
        patience = jnp.where(best & clearly, longer, state["patience"])
        tested = lax.cond(
            best, lambda: self.errors(weights, *self.test), lambda: jnp.array(-1, jnp.int32)
        )
        return {
            **state,
            "epoch": state["epoch"] + 1,
            "patience": patience,
            "best_wrong": jnp.where(best, wrong, state["best_wrong"]),
            "best_iteration": jnp.where(best, state["iter"], state["best_iteration"]),
            "best_weights": [
                jnp.where(best, new, old) for new, old in zip(weights, state["best_weights"])
            ],
            "valid_errors": state["valid_errors"].at[state["epoch"]].set(wrong),
            "test_errors": state["test_errors"].at[state["epoch"]].set(tested),
            "stop": patience <= iter,
        }


def whole_run(recipe: Recipe, mnist: Mnist) -> Callable[[], State]:
    """Make a program of a run by the recipe on these digits; its first call compiles it.

    Args:
        recipe: any without distortion, dropout, schedule or shuffling: the tutorial's kind.
        mnist: its training digits beyond a whole number of minibatches are left out, as in
            the tutorial.

    Returns:
        A function without arguments that trains from the initial weights and gives, by name:
        epoch (how many were whole, and ended with a validation), iter and best_iteration (from 1),
        patience, best_wrong, and per epoch valid_errors and test_errors, the wrong digits (test: -1
        where it was no new best), int32 each; best_weights; and weights, slots and stop.

    Raises:
        ValueError: the recipe's patience asks for a validation within an epoch.
    """
    if recipe.patience // 2 < len(mnist.train.labels) // recipe.batch_size:
        raise ValueError("Here a validation is due at the end of an epoch and nowhere else.")
    model = initial_model(recipe)
    optimizer = keras.optimizers.SGD(recipe.learning_rate)
    optimizer.build(model.trainable_variables)
    splits = map(on_device, (mnist.train, mnist.valid, mnist.test))
    run = jax.jit(Program(recipe, model, optimizer, *splits).run)
    weights = [variable.value for variable in model.trainable_variables]
    slots = [variable.value for variable in optimizer.variables]
    return lambda: jax.block_until_ready(run(weights, slots))


def on_device(split: Split) -> tuple[jax.Array, jax.Array]:
    return jnp.asarray(split.images), jnp.asarray(split.labels, jnp.int32)


def flop(result: State, mnist: Mnist) -> float:
    """What a run's epochs, validations and tests come to."""
    n_epochs = int(result["epoch"])
    n_tests = int((np.asarray(result["test_errors"])[:n_epochs] >= 0).sum())
    train, valid, test = (len(split.labels) for split in (mnist.train, mnist.valid, mnist.test))
    scored = n_epochs * valid + n_tests * test
    return n_epochs * train * TRAINING_FLOP + scored * SCORING_FLOP


def main(epochs: int = TUTORIAL.n_epochs) -> None:
    mnist = load_mnist("mnist")
    run = whole_run(dataclasses.replace(TUTORIAL, n_epochs=epochs), mnist)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - began)
    fastest, best = min(seconds[1:]), int(result["best_iteration"])
    at_best = best // (len(mnist.train.labels) // TUTORIAL.batch_size) - 1
    n = 4096 if jax.default_backend() != "cpu" else 2048
    matrix = jnp.ones((n, n), jnp.float32)
    product = jax.jit(jnp.matmul)
    own = product_rate(lambda: product(matrix, matrix).block_until_ready(), n)
    rate = flop(result, mnist) / fastest
    print(
        f"{jax.devices()[0].device_kind} in a machine with {measured_on()}\n\n"
        f"{int(result['epoch'])} epochs, each validated, in {fastest:.2f} s "
        f"({seconds[0]:.2f} s with compilation).\n"
        f"Best validation error {int(result['best_wrong']) / len(mnist.valid.labels):.2%} at "
        f"iteration {best:,}, test error there "
        f"{int(result['test_errors'][at_best]) / len(mnist.test.labels):.2%}.\n"
        f"{rate / 1e12:.2f} TFLOP/s, {rate / own:.0%} of its {own / 1e12:.2f} for a matrix product."
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
