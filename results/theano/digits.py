"""MNIST as results/theano/run.py reads it: python results/theano/digits.py digits.npz"""

from __future__ import annotations

import sys

import numpy as np

from lenet_keras import load_mnist

if __name__ == "__main__":
    mnist = load_mnist("mnist")
    splits = {"train": mnist.train, "valid": mnist.valid, "test": mnist.test}
    images = {f"{name}_images": split.images for name, split in splits.items()}
    labels = {f"{name}_labels": split.labels for name, split in splits.items()}
    np.savez(sys.argv[1], **images, **labels)
