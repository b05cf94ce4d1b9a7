"""Wrote small_python2.pkl.gz, under Python 2.7.18 and NumPy 1.16.6: the tutorial's container, tiny."""

import cPickle
import gzip

import numpy


def pictures(first, n):
    i = numpy.arange(first, first + n).reshape(-1, 1)
    p = numpy.arange(784).reshape(1, -1)
    pixels = (i * 7 + p * 3) % 256
    return (pixels / numpy.float32(256)).astype("float32"), (i.ravel() * 3 % 10).astype("int64")


with gzip.GzipFile("small_python2.pkl.gz", "wb", mtime=0) as file:
    pairs = (pictures(0, 50), pictures(50, 10), pictures(60, 10))
    cPickle.dump(pairs, file, cPickle.HIGHEST_PROTOCOL)
