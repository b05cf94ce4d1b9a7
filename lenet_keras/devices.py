"""What the machine has: several devices to share a minibatch, and bfloat16 or not.

Each of several devices takes an even part of every minibatch.

Keras's own means do it: ``keras.distribution.DataParallel`` on JAX, ``tf.distribute`` on
TensorFlow. The parts' gradients are summed in another order than one device would, so weights
agree to within rounding, not to the bit. On TensorFlow each device also draws its own dropout
and distortions; on JAX they are drawn as one device would.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import keras

from lenet_keras.errors import LenetKerasError

__all__ = ["DeviceError", "alone", "building_on", "check_devices", "fitting_on", "native_precision"]


class DeviceError(LenetKerasError):
    """There are too few devices, or they cannot share a minibatch."""


def check_devices(n: int, batch_size: int, n_digits: int) -> None:
    """Can n devices share every minibatch of an epoch evenly?

    Raises:
        DeviceError: they cannot, or there are fewer, or Keras's backend has no means to.
    """
    if n == 1:
        return
    if keras.backend.backend() not in ("tensorflow", "jax"):
        raise DeviceError(
            "Training on several devices needs Keras on TensorFlow or JAX: set KERAS_BACKEND."
        )
    devices = keras.distribution.list_devices()
    if len(devices) < n:
        raise DeviceError(
            f"{n} devices were requested, but Keras sees {len(devices)}: {', '.join(devices)}."
        )
    for size in (batch_size, n_digits % batch_size):
        if size % n:
            raise DeviceError(
                f"{n} devices cannot share a minibatch of {size} digits evenly: choose another "
                "number of them."
            )


def building_on(n: int) -> AbstractContextManager:
    """``with`` this, build and compile a model that is to learn on the first n devices."""
    if n > 1 and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        devices = [name.upper() for name in keras.distribution.list_devices()[:n]]
        return tf.distribute.MirroredStrategy(devices).scope()
    return fitting_on(n)


def fitting_on(n: int) -> AbstractContextManager:
    """``with`` this, call that model's ``fit``."""
    if n > 1 and keras.backend.backend() == "jax":
        devices = keras.distribution.list_devices()[:n]
        return keras.distribution.DataParallel(devices=devices).scope()
    return contextlib.nullcontext()  # on TensorFlow the model knows


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """``with`` this, score another model on one device, with any number of digits."""
    if keras.backend.backend() != "jax":
        yield
        return
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def native_precision() -> str:
    """What this machine computes fast in: "bfloat16", or "float32" where that is only imitated.

    bfloat16 is native to GPUs from NVIDIA's Ampere on, and to processors with AVX-512 BF16 or AMX.
    """
    gpus = _gpu_generations()
    if gpus:
        return "bfloat16" if min(gpus) >= 8 else "float32"
    flags: set[str] = set()
    with contextlib.suppress(OSError):  # other systems have no such file
        flags = set(Path("/proc/cpuinfo").read_text().split())
    return "bfloat16" if flags & {"avx512_bf16", "amx_bf16"} else "float32"


def _gpu_generations() -> list[float]:
    """The compute capability of each GPU that Keras's backend would use."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        details = map(
            tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU")
        )
        return [float("{}.{}".format(*each.get("compute_capability", (0, 0)))) for each in details]
    if keras.backend.backend() == "jax":
        import jax

        gpus = [device for device in jax.devices() if device.platform == "gpu"]
        return [float(getattr(device, "compute_capability", 0) or 0) for device in gpus]
    import torch

    cards = range(torch.cuda.device_count())
    return [float("{}.{}".format(*torch.cuda.get_device_capability(card))) for card in cards]
