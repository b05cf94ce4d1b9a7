"""Max-pooling whose gradient goes to each of equals, as Theano's did."""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

sys.path.insert(0, str(Path(__file__).parent.parent / "results"))

from ties import PoolAndBias, max_pool_as_in_theano, network

from lenet_keras import TUTORIAL
from lenet_keras.training import initial_model

few = st.integers(-2, 2).map(float)  # so that there are equals


@settings(deadline=None, max_examples=50)
@given(arrays(np.float32, (2, 4, 6, 3), elements=few), arrays(np.float32, (2, 2, 3, 3)))
def test_each_of_the_largest_gets_the_gradient(x, upstream):
    upstream = np.nan_to_num(upstream)
    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        y = max_pool_as_in_theano(variable)
    gradient = tape.gradient(y, variable, output_gradients=tf.constant(upstream)).numpy()
    for n, row, column, channel in np.ndindex(x.shape):
        largest = x[n, row // 2 * 2 :, column // 2 * 2 :, channel][:2, :2].max()
        assert y[n, row // 2, column // 2, channel] == largest
        wanted = (
            upstream[n, row // 2, column // 2, channel]
            if x[n, row, column, channel] == largest
            else 0
        )
        assert gradient[n, row, column, channel] == wanted


def test_the_bias_hears_of_a_block_once():
    layer = PoolAndBias()
    blank = tf.ones((1, 4, 4, 1))  # all equal
    with tf.GradientTape() as tape:
        tape.watch(blank)
        total = tf.reduce_sum(layer(blank))
    of_answers, of_bias = tape.gradient(total, [blank, layer.bias])
    assert of_bias.numpy().tolist() == [4.0]  # four blocks
    assert np.array_equal(of_answers, np.ones((1, 4, 4, 1)))  # as Theano 0.8.2 printed it


def test_it_is_the_tutorials_network():
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    ours, theirs = initial_model(TUTORIAL), network(TUTORIAL)
    assert theirs.count_params() == 431_080
    ours.get_layer("logits").set_weights([np.full((500, 10), 0.01), np.arange(10)])  # not all 0
    theirs.set_weights(ours.get_weights())
    assert np.allclose(ours(images), theirs(images), atol=1e-5)
