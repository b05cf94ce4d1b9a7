"""Who trains the tutorial's network in training.py, and how each of them is run.

A library's script trains epochs in a process of its own: the tutorial's 50,000 training digits,
in minibatches in the order of the data. After one epoch to warm up (Theano: five minibatches) it
prints the seconds of each, then the peak of its memory in MiB.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from processor import computes_in_bfloat16

# every library's own way to be told how many threads to use
THREADS = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NPROC",
)


@dataclass(frozen=True)
class Peer:
    """One way to train.

    name: in the tables.
    script: beside this file.
    way: which of the script's ways to train.
    installed: is everything there that it needs?
    environment: variables of its own.
    python: what runs the script.
    n_epochs: how many are timed in a turn.
    """

    name: str
    script: str
    way: str
    installed: bool
    environment: Mapping[str, str] = field(default_factory=dict)
    python: str = sys.executable
    n_epochs: int = 2

    def train(
        self, digits: Path, batch_size: int = 500, threads: int | None = None
    ) -> tuple[list[float], float]:
        """Train in a fresh process.

        Args:
            digits: an .npz of images and labels.
            batch_size: digits in a minibatch.
            threads: how many; without it the library decides.

        Returns:
            The seconds of each timed epoch, and the peak of memory in MiB.
        """
        script = Path(__file__).with_name(self.script)
        arguments = [digits, batch_size, self.n_epochs, self.way]
        done = subprocess.run(
            [self.python, str(script), *map(str, arguments)],
            env=os.environ
            | (dict.fromkeys(THREADS, str(threads)) if threads else {})
            | self.environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            sys.exit(f"{self.name} failed:\n{done.stderr[-2000:]}")
        *seconds, peak = map(float, done.stdout.split())
        return seconds, peak


def has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def theano(name: str, way: str, openmp: bool, **environment: str) -> Peer:
    """The tutorial's own library, by the Python 2.7 that PYTHON2 names."""
    flags = f"floatX=float32,openmp={openmp},{os.environ.get('THEANO_FLAGS', '')}"
    return Peer(
        name,
        "theano_epoch.py",
        way,
        "PYTHON2" in os.environ,
        {"THEANO_FLAGS": flags, **environment},
        python=os.environ.get("PYTHON2", ""),
        n_epochs=1,  # it takes a minute
    )


OURS = Peer("ours", "keras_epoch.py", "ours", has("tensorflow"))
# where a processor imitates bfloat16 its turn takes minutes, and shows what nobody would use
BFLOAT16 = Peer(
    "ours, bfloat16", "keras_epoch.py", "bfloat16", has("tensorflow") and computes_in_bfloat16()
)
PLAIN = Peer("plain Keras", "keras_epoch.py", "plain", has("tensorflow"))
JAX = Peer("ours on JAX", "keras_epoch.py", "ours", has("jax"), {"KERAS_BACKEND": "jax"})
TORCH = Peer("PyTorch", "torch_epoch.py", "eager", has("torch"))
CHANNELS_LAST = Peer("PyTorch, channels_last", "torch_epoch.py", "channels_last", has("torch"))
COMPILED = Peer("PyTorch, compiled", "torch_epoch.py", "compiled", has("torch"))
THEANO = theano("Theano 0.8.2, as in the tutorial", "tutorial", openmp=False)
# OpenMP's threads and those of the BLAS would fight: the later convolution has the first alone
LATER = theano("Theano 0.8.2, later conv2d", "later", openmp=True, OPENBLAS_NUM_THREADS="1")

PEERS = [OURS, BFLOAT16, PLAIN, JAX, TORCH, CHANNELS_LAST, COMPILED, THEANO, LATER]
CLOSER = [OURS, BFLOAT16, PLAIN, COMPILED]  # also with other minibatches and threads
