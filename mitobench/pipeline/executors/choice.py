"""Chooses an executor by its name: `local`, `processes`, `ray` or `ray:ADDRESS`."""

from __future__ import annotations

from mitobench.errors import MitobenchError, nearest
from mitobench.pipeline.executors.base import Executor
from mitobench.pipeline.executors.local import Local
from mitobench.pipeline.executors.processes import Processes

EXECUTORS = ("local", "processes", "ray")


def executor_of(name: str | None = None, jobs: int | None = None) -> Executor:
    """Returns an executor; nothing is started yet.

    Args:
        name: `local`: this process. `processes`: `jobs` processes of this machine. `ray`: a Ray cluster that is started
            on this machine. `ray:ADDRESS`: an existing Ray cluster. None: `processes` for several jobs, else `local`.
        jobs: how many stages may run at once; None: one, on Ray as many as the cluster has resources for.

    Raises MitobenchError for an unknown name, jobs that it cannot have, an address where nothing answers, or if Ray is
    not installed.
    """
    kind, _, address = (name or ("processes" if jobs and jobs > 1 else "local")).partition(":")
    if kind not in EXECUTORS or (kind != "ray" and address) or (name or "").endswith(":"):
        raise MitobenchError(
            f"--executor {name}: must be local, processes, ray or ray:ADDRESS. {nearest(kind, EXECUTORS)}"
        )
    if kind == "ray":
        from mitobench.pipeline.executors.on_ray import OnRay

        return OnRay(address or None, jobs)
    if kind == "local":
        if jobs and jobs > 1:
            raise MitobenchError(f"--executor local runs one stage at a time. Leave out --jobs {jobs}.")
        return Local()
    return Processes(jobs or 1)
