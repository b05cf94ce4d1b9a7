"""Ray, on this machine or on a cluster: what many trainings and many pictures have in common."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lenet_keras.errors import LenetKerasError, in_short

__all__ = ["ClusterError", "connected", "need_ray"]


class ClusterError(LenetKerasError):
    """Ray is missing, or there is none at the address."""


def need_ray() -> None:
    """Ask for Ray before any work is done.

    Raises:
        ClusterError: it is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise ClusterError("Ray is not installed: pip install 'lenet-keras[ray]'.")


@contextlib.contextmanager
def connected(address: str = "", environment: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Ray, ready: ``with connected() as ray``.

    Args:
        address: of a cluster, "host:port"; without it Ray is started on this machine, and ended
            at the end.
        environment: variables for the processes that do the work.

    Raises:
        ClusterError: it is not installed, or nobody answers at the address.
    """
    need_ray()
    # nobody is told that we use it; its tables, boxes and notes stay away
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
    }
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:  # Ray itself would try for minutes
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except (OSError, ValueError, OverflowError) as error:
            raise ClusterError(f"Nobody answers at {address} ({in_short(error)}).") from None
    # `ray start` makes a secret, and asks those who come for it; they are to know where it is
    secret = os.environ.get("RAY_AUTH_TOKEN") or (Path.home() / ".ray" / "auth_token").exists()
    if address and secret:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    ray = importlib.import_module("ray")
    options: dict[str, Any] = {} if address else {"include_dashboard": False}
    if environment:
        options["runtime_env"] = {"env_vars": dict(environment)}
    try:
        ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **options
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f" at {address}" if address else ""
        raise ClusterError(f"Ray{where} does not answer: {in_short(error)}") from None
    try:
        yield ray
    finally:
        ray.shutdown()
