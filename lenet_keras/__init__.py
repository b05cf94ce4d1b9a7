"""The deeplearning.net LeNet tutorial, in Keras: to learn from and to ship.

data -> model -> recipe, patience -> training -> onnx_export -> classifier
"""

from __future__ import annotations

import importlib
import os

# TensorFlow's native code writes notes about every start to stderr; its failures are Python
# exceptions all the same. Read when TensorFlow loads, so it is set before anything imports it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# onnxruntime's builds report their use to its makers; who reads digits here is nobody's business.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

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
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    # Keras takes seconds to import: load it only for those who ask for what needs it.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
