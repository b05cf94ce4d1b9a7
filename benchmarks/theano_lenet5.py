# Python 2.7, Theano 0.8.2: the network of the tutorial's convolutional_mlp.py, as it builds it.
# For theano_epoch.py, which times it, and for results/theano/run.py, which trains it to the end.
from __future__ import print_function

import numpy
import theano
import theano.tensor as T
from theano.tensor.nnet import conv
from theano.tensor.signal import downsample

floatX = theano.config.floatX


class LeNet5(object):
    """params, and the functions of a minibatch's index that train and that count errors."""

    def __init__(self, batch_size, later=False, learning_rate=0.1, nkerns=(20, 50)):
        # later: the convolution that Theano gained after the tutorial, many times as fast
        self.batch_size, self.learning_rate = batch_size, learning_rate
        rng = numpy.random.RandomState(23455)
        self.index, self.x, self.y = T.lscalar(), T.matrix("x"), T.ivector("y")
        out0, params0 = conv_pool(
            rng,
            self.x.reshape((batch_size, 1, 28, 28)),
            (batch_size, 1, 28, 28),
            (nkerns[0], 1, 5, 5),
            later,
        )
        out1, params1 = conv_pool(
            rng, out0, (batch_size, nkerns[0], 12, 12), (nkerns[1], nkerns[0], 5, 5), later
        )
        n_in = nkerns[1] * 4 * 4
        W2, b2 = uniform(rng, n_in, 500, (n_in, 500)), shared(numpy.zeros(500))
        out2 = T.tanh(T.dot(out1.flatten(2), W2) + b2)
        W3, b3 = shared(numpy.zeros((500, 10))), shared(numpy.zeros(10))
        p_y_given_x = T.nnet.softmax(T.dot(out2, W3) + b3)
        self.cost = -T.mean(T.log(p_y_given_x)[T.arange(self.y.shape[0]), self.y])
        self.errors = T.mean(T.neq(T.argmax(p_y_given_x, axis=1), self.y))
        self.params = [W3, b3, W2, b2] + params1 + params0

    def train_model(self, images, labels):
        grads = T.grad(self.cost, self.params)
        updates = [(p, p - self.learning_rate * g) for p, g in zip(self.params, grads)]
        return self._function(self.cost, images, labels, updates)

    def test_model(self, images, labels):
        return self._function(self.errors, images, labels)

    def _function(self, output, images, labels, updates=()):
        """images: uint8 of any shape with 784 pixels each."""
        images = shared(images.reshape(-1, 784) / 256.0)
        labels = T.cast(shared(labels), "int32")
        rows = slice(self.index * self.batch_size, (self.index + 1) * self.batch_size)
        givens = {self.x: images[rows], self.y: labels[rows]}
        return theano.function([self.index], output, updates=list(updates), givens=givens)


def shared(values):
    return theano.shared(numpy.asarray(values, dtype=floatX), borrow=True)


def uniform(rng, fan_in, fan_out, shape):
    bound = numpy.sqrt(6.0 / (fan_in + fan_out))
    return shared(rng.uniform(-bound, bound, shape))


def conv_pool(rng, input, image_shape, filter_shape, later):
    W = uniform(rng, numpy.prod(filter_shape[1:]), filter_shape[0] * 25 // 4, filter_shape)
    b = shared(numpy.zeros(filter_shape[0]))
    if later:
        maps = T.nnet.conv2d(input, W, input_shape=image_shape, filter_shape=filter_shape)
    else:
        maps = conv.conv2d(input, W, filter_shape=filter_shape, image_shape=image_shape)
    pooled = downsample.max_pool_2d(maps, (2, 2), ignore_border=True)
    return T.tanh(pooled + b.dimshuffle("x", 0, "x", "x")), [W, b]
