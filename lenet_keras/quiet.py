"""TensorFlow's notes on CPU and GPU kept away from notebooks and the command line."""

from __future__ import annotations

import faulthandler
import importlib.util
import os
import sys
import tempfile

__all__ = ["quiet_tensorflow"]


def quiet_tensorflow() -> None:
    """Import TensorFlow without its notes on stderr, where a notebook would show them in red.

    They come before TensorFlow's logging listens to any setting and go straight to file
    descriptor 2, so that is where they are caught while TensorFlow loads and looks for GPUs.
    If the import fails, they are shown; if the process dies (a CPU without AVX, say), Python's
    fault handler says so. Does nothing where TensorFlow is loaded already, not installed, or not
    the backend that KERAS_BACKEND names.
    """
    wanted = os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow"
    if not wanted or "tensorflow" in sys.modules or not importlib.util.find_spec("tensorflow"):
        return
    stderr = os.dup(2)
    watched = faulthandler.is_enabled()
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        faulthandler.enable(stderr)
        try:
            import tensorflow

            tensorflow.config.list_physical_devices()  # its search for GPUs is noisy too
        except BaseException:
            notes.seek(0)
            os.write(stderr, notes.read())
            raise
        finally:
            os.dup2(stderr, 2)
            faulthandler.enable(2) if watched else faulthandler.disable()
            os.close(stderr)
