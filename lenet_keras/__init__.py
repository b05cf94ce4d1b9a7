"""The deeplearning.net LeNet tutorial, in Keras: to learn from and to ship.

recipe, data -> model -> training -> run -> ship
"""

from __future__ import annotations

import importlib
import os

# TensorFlow's native code reads this when it loads: errors only. They are Python exceptions, too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow turns oneDNN's kernels on by itself only where it finds AVX512-VNNI; they are half as
# fast again on AVX2, too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# onnxruntime's builds report usage to its makers; what is read here stays here.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOME = {
    "load_mnist": "data",
    "build_lenet5": "model",
    "TUTORIAL": "recipe",
    "MODERN": "recipe",
    "BEST": "recipe",
    "FAST": "recipe",
    "Recipe": "recipe",
    "PatienceStopping": "patience",
    "Training": "training",
    "train": "run",
    "evaluate_lenet5": "run",
    "Classifier": "ship.classifier",
    "DrawingPad": "ship.drawing",
    "quiet_tensorflow": "quiet",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    # Keras takes seconds to import: load it only for those who ask for what needs it.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in TRAINING_PACKAGES:
            raise
        raise ModuleNotFoundError(
            f"lenet_keras.{name} needs {error.name}: pip install 'lenet-keras[train]'.",
            name=error.name,
        ) from None


# what the extra `train` brings
TRAINING_PACKAGES = ("keras", "tensorflow", "matplotlib", "onnx", "sklearn", "scipy", "tf2onnx")
