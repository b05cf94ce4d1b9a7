# Python 2.7, Theano 0.8.2: the tutorial's evaluate_lenet5 to its end, on the same digits as ours.
#
#     python results/theano/digits.py digits.npz
#     python2.7 results/theano/run.py digits.npz results/theano
#
# Writes history.csv and, with every epoch, checkpoint.npz; the same command resumes. The sums of
# pixels are those of the convolution that Theano gained later: the tutorial's own takes 3 times
# as long, and gives the same errors but for rounding.
from __future__ import division, print_function

import csv
import os
import sys
import time

import numpy

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "benchmarks"))
from theano_lenet5 import LeNet5

COLUMNS = ["epoch", "iteration", "cost", "validation_error", "test_error", "seconds"]
BATCH_SIZE = 500


def evaluate_lenet5(digits, out, n_epochs=200):
    data = numpy.load(digits)
    lenet5 = LeNet5(BATCH_SIZE, later=True)
    train_model = lenet5.train_model(data["train_images"], data["train_labels"])
    validate_model = lenet5.test_model(data["valid_images"], data["valid_labels"])
    test_model = lenet5.test_model(data["test_images"], data["test_labels"])
    rows = resume(lenet5, out)

    n_train_batches = len(data["train_labels"]) // BATCH_SIZE
    patience, patience_increase, improvement_threshold = 10000, 2, 0.995
    best_validation_loss = numpy.inf
    for epoch in range(1, n_epochs + 1):
        iter = epoch * n_train_batches - 1
        if epoch > len(rows):
            began = time.time()
            costs = [train_model(i) for i in range(n_train_batches)]
            seconds = time.time() - began
            row = [epoch, iter + 1, "%.8f" % numpy.mean(costs)]
            row += [percent(validate_model), percent(test_model), "%.2f" % seconds]
            rows.append(row)
            save(lenet5, rows, out)
            print(dict(zip(COLUMNS, row)))
            sys.stdout.flush()
        this_validation_loss = float(rows[epoch - 1][3])
        if this_validation_loss < best_validation_loss:
            if this_validation_loss < best_validation_loss * improvement_threshold:
                patience = max(patience, iter * patience_increase)
            best_validation_loss, best_row = this_validation_loss, rows[epoch - 1]
        if patience <= iter:
            print("Patience ended it.")
            break
    print("Best:", dict(zip(COLUMNS, best_row)))


def percent(errors):
    """Wrong digits of 10,000, in percent."""
    return "%.2f" % (100 * numpy.mean([errors(i) for i in range(10000 // BATCH_SIZE)]))


def save(lenet5, rows, out):
    # np.savez writes the name it is given; the renaming leaves a whole file or the one before
    partial = os.path.join(out, "partial.npz")
    numpy.savez(partial, rows=rows, *[p.get_value() for p in lenet5.params])
    os.rename(partial, os.path.join(out, "checkpoint.npz"))
    with open(os.path.join(out, "history.csv"), "w") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS] + rows)


def resume(lenet5, out):
    """The rows of the epochs that are done already."""
    path = os.path.join(out, "checkpoint.npz")
    if not os.path.exists(path):
        return []
    saved = numpy.load(path)
    for i, param in enumerate(lenet5.params):
        param.set_value(saved["arr_%d" % i])
    return [list(row) for row in saved["rows"]]


if __name__ == "__main__":
    evaluate_lenet5(sys.argv[1], sys.argv[2])
