# Python 2.7, Theano 0.8.2: epochs of the tutorial's network as the tutorial writes it.
# Run by peers.py: python2 theano_epoch.py digits.npz batch_size n_epochs tutorial|later
from __future__ import print_function

import resource
import sys
import time

import numpy
import theano
import theano.tensor as T
from theano.tensor.nnet import conv
from theano.tensor.signal import downsample

digits, batch_size, n_epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
later = sys.argv[4] == "later"  # the convolution that Theano gained after the tutorial
data = numpy.load(digits)
n_train_batches = len(data["labels"]) // batch_size
floatX = theano.config.floatX
rng = numpy.random.RandomState(23455)


def shared(values):
    return theano.shared(numpy.asarray(values, dtype=floatX), borrow=True)


def uniform(fan_in, fan_out, shape):
    bound = numpy.sqrt(6.0 / (fan_in + fan_out))
    return shared(rng.uniform(-bound, bound, shape))


def conv_pool(input, image_shape, filter_shape):
    W = uniform(numpy.prod(filter_shape[1:]), filter_shape[0] * 25 // 4, filter_shape)
    b = shared(numpy.zeros(filter_shape[0]))
    if later:
        maps = T.nnet.conv2d(input, W, input_shape=image_shape, filter_shape=filter_shape)
    else:
        maps = conv.conv2d(input, W, filter_shape=filter_shape, image_shape=image_shape)
    pooled = downsample.max_pool_2d(maps, (2, 2), ignore_border=True)
    return T.tanh(pooled + b.dimshuffle("x", 0, "x", "x")), [W, b]


index, x, y = T.lscalar(), T.matrix("x"), T.ivector("y")
images = shared(data["images"].reshape(-1, 784) / 256.0)
labels = T.cast(shared(data["labels"]), "int32")
out0, params0 = conv_pool(
    x.reshape((batch_size, 1, 28, 28)), (batch_size, 1, 28, 28), (20, 1, 5, 5)
)
out1, params1 = conv_pool(out0, (batch_size, 20, 12, 12), (50, 20, 5, 5))
W2, b2 = uniform(800, 500, (800, 500)), shared(numpy.zeros(500))
out2 = T.tanh(T.dot(out1.flatten(2), W2) + b2)
W3, b3 = shared(numpy.zeros((500, 10))), shared(numpy.zeros(10))
p_y_given_x = T.nnet.softmax(T.dot(out2, W3) + b3)
cost = -T.mean(T.log(p_y_given_x)[T.arange(y.shape[0]), y])
params = [W3, b3, W2, b2] + params1 + params0
train_model = theano.function(
    [index],
    cost,
    updates=[(p, p - 0.1 * g) for p, g in zip(params, T.grad(cost, params))],
    givens={
        x: images[index * batch_size : (index + 1) * batch_size],
        y: labels[index * batch_size : (index + 1) * batch_size],
    },
)
for minibatch_index in range(5):  # to warm up
    train_model(minibatch_index)
for epoch in range(n_epochs):
    began = time.time()
    for minibatch_index in range(n_train_batches):
        train_model(minibatch_index)
    print(time.time() - began)
    sys.stdout.flush()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0)
