"""Which data tests and notebooks see: MNIST from LENET_KERAS_DATA or Keras's cache, else digits.

Nothing is downloaded unless LENET_KERAS_DATA asks for it. Without MNIST, `pytest --nbval` executes
the notebooks and holds them to their assertions, but compares no outputs: those are MNIST's.
Where it compares, notebooks/rounding.cfg says which numbers are rounding.
"""

import os
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    cached = Path.home() / ".keras" / "datasets" / "mnist.npz"
    data = os.environ.get("LENET_KERAS_DATA") or (str(cached) if cached.exists() else "digits")
    if data not in ("auto", "mnist", "digits"):
        data = os.path.abspath(data)  # a notebook's kernel starts in the notebook's folder
    os.environ["LENET_KERAS_DATA"] = data
    if data == "digits" and getattr(config.option, "nbval", False):
        config.option.nbval_lax = True
    if getattr(config.option, "nbval", False) and not config.option.nbval_sanitize_with:
        config.option.nbval_sanitize_with = str(
            Path(__file__).parent / "notebooks" / "rounding.cfg"
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    nbval = getattr(terminalreporter.config.option, "nbval", False)
    if nbval and terminalreporter.stats.get("failed"):
        hint = "If the new output is right: python notebooks/build.py run NAME, then carry NAME."
        terminalreporter.write_line(hint)


def pytest_report_header(config: pytest.Config) -> str | None:
    if getattr(config.option, "nbval", False) and config.option.nbval_lax:
        return "notebooks: executed, outputs not compared, for there is no MNIST"
    return None
