"""Ray, on this machine or on a cluster, for sweeps and for bulk reading."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import shlex
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from lenet_keras.errors import LenetKerasError, in_short

__all__ = ["ClusterError", "connected", "need_ray"]


class ClusterError(LenetKerasError):
    """Ray is missing, does not start, or does not answer at the address."""


def need_ray() -> None:
    """Check for Ray before any work is done.

    Raises:
        ClusterError: it is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise ClusterError("Ray is not installed: pip install 'lenet-keras[ray]'.")


@contextlib.contextmanager
def connected(address: str = "", environment: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Ray, ready: ``with connected() as ray``.

    Args:
        address: of a cluster, "host:port"; without it Ray is started on this machine, and stopped
            at the end.
        environment: variables for its workers.

    Raises:
        ClusterError: nothing answers at the address, or Ray does not start.
    """
    os.environ |= {  # read when Ray is imported; its own output would drown ours
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
    }
    _refuse_silence(address)
    # `ray start` makes a secret and asks for it; a driver must be told to look for it
    secret = os.environ.get("RAY_AUTH_TOKEN") or os.path.exists(
        os.path.expanduser("~/.ray/auth_token")
    )
    if address and secret:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    ray = importlib.import_module("ray")
    options: dict[str, Any] = {} if address else {"include_dashboard": False}
    if environment:
        options["runtime_env"] = {"env_vars": dict(environment)}
        if not address:  # a shell starts the workers, and Ray gives it this path as it is
            options["runtime_env"]["py_executable"] = shlex.quote(sys.executable)
    try:
        _start(ray, address, options)
    except Exception as error:  # of a node that is slow to start Ray raises a bare one
        where = f" at {address}" if address else ""
        raise ClusterError(f"Ray{where} does not start or answer: {in_short(error)}") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _refuse_silence(address: str) -> None:
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:  # Ray itself would try for minutes
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except (OSError, ValueError, OverflowError) as error:
            raise ClusterError(f"Nothing answers at {address} ({in_short(error)}).") from None


def _start(ray: Any, address: str, options: dict[str, Any]) -> None:
    """Ray gives its own processes half a minute; on a busy machine a second try is enough."""

    def start() -> None:
        ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **options
        )

    try:
        start()
    except Exception as error:
        if address or "timed out" not in str(error):
            raise
        ray.shutdown()
        start()
