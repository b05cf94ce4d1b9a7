# Python 2.7, Theano 0.8.2: epochs of the tutorial's network as the tutorial writes it.
# Run by peers.py: python2 theano_epoch.py digits.npz batch_size n_epochs tutorial|later
from __future__ import print_function

import resource
import sys
import time

import numpy
from theano_lenet5 import LeNet5

digits, batch_size, n_epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
data = numpy.load(digits)
n_train_batches = len(data["labels"]) // batch_size
lenet5 = LeNet5(batch_size, later=sys.argv[4] == "later")
train_model = lenet5.train_model(data["images"], data["labels"])
for minibatch_index in range(5):  # to warm up
    train_model(minibatch_index)
for epoch in range(n_epochs):
    began = time.time()
    for minibatch_index in range(n_train_batches):
        train_model(minibatch_index)
    print(time.time() - began)
    sys.stdout.flush()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0)
