"""How long work takes, and how much of it the machine could do at best."""

from __future__ import annotations

import time
from collections.abc import Callable

TRAINING_FLOP = 13.2e6  # of training on one digit, as the README counts them
SCORING_FLOP = 4.6e6  # of scoring one


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def product_rate(product: Callable[[], object], n: int) -> float:
    """The most FLOP/s of twenty calls that multiply a matrix [n, n] by another."""
    return 2 * n**3 / min(seconds(product) for _ in range(20))
