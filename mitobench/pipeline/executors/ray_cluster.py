"""Starts a Ray cluster on this machine, or joins one, and notices when its head is lost.

Ray is optional, and is imported by a name that is computed at run time, as the optional readers of slides are.
"""

from __future__ import annotations

import importlib
import os
import socket
import time
from typing import Any

from mitobench.errors import MitobenchError

PACKAGE = "ray"
CONNECT_SECONDS = 5.0  # to reach the head of a cluster
VARIABLES = "MITOBENCH_"  # the environment variables with this prefix are those of the driver on every node


class Cluster:
    """A Ray cluster that is connected to when it is first needed.

    Raises MitobenchError if Ray is not installed, or nothing answers at the address.

    Attributes:
        is_lost: whether the head of the cluster was lost.
    """

    def __init__(self, address: str | None) -> None:
        self._ray = _import_ray()
        if address is not None:
            _check_reachable(address)
        self._address = address
        self._head: tuple[str, int] | None = None
        self._answered = time.monotonic()
        self._connected = False
        self.is_lost = False

    def connect(self) -> Any:
        """Returns the module `ray`, connected.

        Raises MitobenchError if the cluster cannot be reached or was started with another version of Python or Ray.
        """
        ray = self._ray
        if self._head is None:
            if not ray.is_initialized():  # otherwise the program that uses mitobench is connected already
                self._init(ray)
                self._connected = True
            host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
            self._head, self._answered = (host, int(port)), time.monotonic()
        return ray

    def _init(self, ray: Any) -> None:
        os.environ.setdefault("RAY_task_oom_retries", "2")  # Ray's default retries for ever
        variables = {name: value for name, value in os.environ.items() if name.startswith(VARIABLES)}
        options: dict[str, Any] = {
            "logging_level": "ERROR",
            "log_to_driver": False,
            "runtime_env": {"env_vars": variables},
        }
        if self._address is None:
            os.environ.setdefault("RAY_worker_niceness", "0")  # as that of the processes of --jobs
            ray.init(address="local", include_dashboard=False, **options)
        else:
            try:
                ray.init(address=self._address, **options)
            except Exception as reason:  # Ray raises errors of many kinds here
                raise MitobenchError(_unreachable(self._address, str(reason))) from reason

    def silent_for(self) -> float:
        """Returns the seconds since the head last answered; asks it."""
        assert self._head is not None
        try:
            socket.create_connection(self._head, timeout=CONNECT_SECONDS).close()
            self._answered = time.monotonic()
        except OSError:
            pass
        return time.monotonic() - self._answered

    def lost(self) -> MitobenchError:
        """Returns the error for a cluster whose head was lost."""
        host, port = self._head or ("", 0)
        return MitobenchError(
            f"The head of the Ray cluster at {host}:{port} does not answer any more. Finished stages are kept. Start "
            "the cluster again, and run the same command again to go on."
        )

    def close(self) -> None:
        """Leave the cluster; stop it if it was started here."""
        if self._connected:
            self._ray.shutdown()
            self._connected, self._head = False, None


def _import_ray() -> Any:
    try:
        return importlib.import_module(PACKAGE)
    except ImportError as reason:
        raise MitobenchError(
            f"--executor ray needs Ray, which is not installed ({reason}). Install it with: pip install "
            "'mitobench[ray]'"
        ) from reason


def _check_reachable(address: str) -> None:
    """Raises MitobenchError within a few seconds if nothing answers at `HOST:PORT`."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()) or "/" in address:
        raise MitobenchError(
            f"--executor ray:{address}: must be ray:HOST:PORT, with the address of the cluster's head."
        )
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as reason:
        raise MitobenchError(_unreachable(address, str(reason))) from reason


def _unreachable(address: str, reason: str) -> str:
    if "Version mismatch" in reason:
        return f"--executor ray:{address}: {' '.join(reason.split())} Install the same versions on all machines."
    return (
        f"--executor ray:{address}: no Ray cluster can be reached there ({' '.join(reason.split())[:300]}). Start one "
        "with `ray start --head`, and join it from this machine with `ray start --address=HOST:PORT`."
    )
