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
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import lax

from lenet_keras import TUTORIAL, Recipe, load_mnist
from lenet_keras.data import Mnist, Split
from lenet_keras.training import initial_model

FLOP = 13.2e6  # of training on one digit; scoring one is 4.6e6
SCORING_FLOP = 4.6e6


def whole_run(recipe: Recipe, mnist: Mnist) -> Callable[[], dict[str, Any]]:
    """Compile a run by the recipe on these digits.

    Args:
        recipe: any without distortion, dropout, schedule or shuffling: the tutorial's kind.
        mnist: its training digits beyond a whole number of minibatches are left out, as in
            the tutorial.

    Returns:
        A function without arguments that trains from the initial weights and gives, by name:
        epoch (how many were whole, and ended with a validation), iter and best_iteration (from 1),
        patience, best_wrong, and per epoch valid_errors and test_errors, the wrong digits (test: -1
        where it was no new best), int32 each; best_weights; and weights, slots and stop.
    """
    model = initial_model(recipe)
    optimizer = keras.optimizers.SGD(recipe.learning_rate)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    n = len(mnist.train.labels) // recipe.batch_size
    if recipe.patience // 2 < n:
        raise ValueError("Here a validation is due at the end of an epoch and nowhere else.")

    def on_device(split: Split):
        return jnp.asarray(split.images), jnp.asarray(split.labels, jnp.int32)

    train, valid, test = map(on_device, (mnist.train, mnist.valid, mnist.test))
    weights = [v.value for v in model.trainable_variables]
    slots = [v.value for v in optimizer.variables]

    def cost(weights, images, labels):
        logits, _ = model.stateless_call(weights, [], images, training=True)
        return loss(labels, logits)

    def errors(weights, images, labels):
        logits, _ = model.stateless_call(weights, [], images)
        return jnp.sum(logits.argmax(axis=1) != labels, dtype=jnp.int32)

    def train_model(index, state):
        weights, slots = state
        images, labels = (
            lax.dynamic_slice_in_dim(part, index * recipe.batch_size, recipe.batch_size)
            for part in train
        )
        gradients = jax.grad(cost)(weights, images, labels)
        return optimizer.stateless_apply(slots, gradients, weights)

    def epoch(state):
        # patience is looked at after every minibatch, and only a validation can raise it
        steps = jnp.clip(state["patience"] - state["epoch"] * n + 1, 0, n)
        new, slots = lax.fori_loop(0, steps, train_model, (state["weights"], state["slots"]))
        state = {**state, "weights": new, "slots": slots, "iter": state["iter"] + steps}
        return lax.cond(steps == n, validate, lambda state: {**state, "stop": True}, state)

    def validate(state):
        wrong = errors(state["weights"], *valid)
        best = wrong < state["best_wrong"]
        clearly = wrong < state["best_wrong"] * recipe.improvement_threshold
        iter = state["iter"] - 1  # counted from 0, as the tutorial does
        longer = jnp.maximum(state["patience"], iter * recipe.patience_increase)
        patience = jnp.where(best & clearly, longer, state["patience"])
        tested = lax.cond(
            best, lambda: errors(state["weights"], *test), lambda: jnp.array(-1, jnp.int32)
        )
        return {
            **state,
            "epoch": state["epoch"] + 1,
            "patience": patience,
            "best_wrong": jnp.where(best, wrong, state["best_wrong"]),
            "best_iteration": jnp.where(best, state["iter"], state["best_iteration"]),
            "best_weights": [
                jnp.where(best, new, old)
                for new, old in zip(state["weights"], state["best_weights"])
            ],
            "valid_errors": state["valid_errors"].at[state["epoch"]].set(wrong),
            "test_errors": state["test_errors"].at[state["epoch"]].set(tested),
            "stop": patience <= iter,
        }

    @jax.jit
    def run(weights, slots):
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
            lambda state: (state["epoch"] < recipe.n_epochs) & ~state["stop"], epoch, state
        )

    return lambda: jax.block_until_ready(run(weights, slots))


def sgemm_rate(n: int = 4096) -> float:
    """This device's own FLOP/s for a float32 matrix product, at JAX's default precision."""
    a = jnp.ones((n, n), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        product(a).block_until_ready()
        seconds.append(time.perf_counter() - began)
    return 2 * n**3 / min(seconds)


def main(epochs: int = TUTORIAL.n_epochs) -> None:
    mnist = load_mnist(os.environ.get("LENET_KERAS_DATA", "mnist"))
    run = whole_run(dataclasses.replace(TUTORIAL, n_epochs=epochs), mnist)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - began)
    done, best = int(result["epoch"]), int(result["best_iteration"])
    at_best = best // (len(mnist.train.labels) // TUTORIAL.batch_size) - 1
    tested = int((np.asarray(result["test_errors"])[:done] >= 0).sum())
    flop = done * (len(mnist.train.labels) * FLOP + len(mnist.valid.labels) * SCORING_FLOP)
    flop += tested * len(mnist.test.labels) * SCORING_FLOP
    rate = flop / min(seconds[1:])
    own = sgemm_rate(4096 if jax.default_backend() != "cpu" else 2048)
    device = jax.devices()[0].device_kind
    print(
        f"{device}: {done} epochs, each validated, in {min(seconds[1:]):.2f} s "
        f"({seconds[0]:.2f} s with compilation).\n"
        f"Best validation error {int(result['best_wrong']) / len(mnist.valid.labels):.2%} at "
        f"iteration {best:,}, test error there "
        f"{int(result['test_errors'][at_best]) / len(mnist.test.labels):.2%}.\n"
        f"{rate / 1e12:.2f} TFLOP/s, {rate / own:.0%} of its {own / 1e12:.2f} for a matrix product."
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
