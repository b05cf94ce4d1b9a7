"""Wrote the pickles beside it, under Python 2.7.18 and NumPy 1.16.6: the tutorial's container, tiny."""

import cPickle
import gzip

import numpy


def pictures(first, n):
    i = numpy.arange(first, first + n).reshape(-1, 1)
    p = numpy.arange(784).reshape(1, -1)
    pixels = (i * 7 + p * 3) % 256
    return (pixels / numpy.float32(256)).astype("float32"), (i.ravel() * 3 % 10).astype("int64")


names = ("small_python2_protocol0.pkl.gz", "small_python2_protocol1.pkl.gz", "small_python2.pkl.gz")
for protocol, name in enumerate(names):
    with gzip.GzipFile(name, "wb", mtime=0) as file:
        pairs = (pictures(0, 50), pictures(50, 10), pictures(60, 10))
        cPickle.dump(pairs, file, protocol)

# as small as they can be, one protocol after the other, and of bytes that are ASCII
few = numpy.array([[0, 0.5, 0.125, 0.5], [0.125, 0, 0, 0.5], [0, 0, 0.5, 0.5]], "float32")
labels = numpy.array([3, 1, 4])
with open("tiny_python2.pickles", "wb") as file:
    for protocol in range(3):
        pairs = tuple((few[i : i + 1], labels[i : i + 1]) for i in range(3))
        cPickle.dump(pairs, file, protocol)
