"""The deeplearning.net LeNet tutorial, in Keras: to learn from and to ship.

recipe, data -> model -> training -> onnx_export -> classifier
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType

# TensorFlow's native code writes notes about every start to stderr; its failures are Python
# exceptions all the same. Read when TensorFlow loads, so it is set before anything imports it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# onnxruntime's builds report their use to its makers; who reads digits here is nobody's business.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


class _QuietTensorFlow:
    """Lets ``import tensorflow`` write its notes on CPU and GPU only where the import fails.

    They come before its logging listens to any setting, go straight to file descriptor 2, and
    would stand in red under the first cell of every notebook.
    """

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            loader = spec.loader
            execute = loader.exec_module
            loader.exec_module = lambda module: self._quietly(execute, module)  # type: ignore[method-assign]
        return spec

    @staticmethod
    def _quietly(execute: Callable[[ModuleType], None], module: ModuleType) -> None:
        stderr = os.dup(2)
        with tempfile.TemporaryFile() as notes:
            os.dup2(notes.fileno(), 2)
            try:
                execute(module)
                module.config.list_physical_devices()  # its search for GPUs is noisy too
            except BaseException:
                notes.seek(0)
                os.write(stderr, notes.read())
                raise
            finally:
                os.dup2(stderr, 2)
                os.close(stderr)


sys.meta_path.insert(0, _QuietTensorFlow())

_HOME = {
    "load_mnist": "data",
    "build_lenet5": "model",
    "TUTORIAL": "recipe",
    "MODERN": "recipe",
    "FAST": "recipe",
    "Recipe": "recipe",
    "PatienceStopping": "patience",
    "train": "training",
    "evaluate_lenet5": "training",
    "Classifier": "classifier",
    "DrawingPad": "drawing",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    # Keras takes seconds to import: load it only for those who ask for what needs it.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
