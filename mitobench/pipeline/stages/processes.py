"""One fit over several processes: mmengine's DDP, launched, fed and collected by the parent.

The children fit and the first one saves; the parent alone plans, locks and writes to the store.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mitobench.errors import PluginError
from mitobench.pipeline.stages.job import LOG, Job, silent

FitOne = Callable[[Job, int, int], None]


def fit_together(job: Job, fit_one: FitOne, processes: int) -> None:
    """Fit in `processes` processes: NCCL on CUDA, gloo on CPU.

    Args:
        job: the fit.
        fit_one: does one process's part: called with the job, the process's rank and their number.
        processes: how many.

    Raises PluginError with what a child said.
    """
    import torch
    from torch.multiprocessing import start_processes
    from torch.multiprocessing.spawn import ProcessException

    if job.device == "cuda" and torch.cuda.device_count() < processes:
        raise PluginError(f"--gpus {processes}: this machine has {torch.cuda.device_count()}.")
    with tempfile.TemporaryDirectory(prefix="mitobench-") as meeting:
        rendezvous = f"file://{Path(meeting) / 'rendezvous'}"
        arguments = (fit_one, replace(job, progress=silent), processes, rendezvous, torch.get_num_threads())
        context = start_processes(_child, arguments, nprocs=processes, join=False, start_method="spawn")
        try:
            while not context.join(timeout=1.0):
                job.progress(_iterations_logged(job.work), 0)
        except ProcessException as reason:
            raise PluginError(str(reason).strip().splitlines()[-1]) from reason
        except BaseException:  # an interrupt must not leave children that go on writing checkpoints
            for process in context.processes:
                process.terminate()
            raise


def _child(rank: int, fit_one: FitOne, job: Job, processes: int, rendezvous: str, threads: int) -> None:
    import torch
    import torch.distributed

    os.environ["LOCAL_RANK"] = str(rank)
    torch.set_num_threads(max(1, threads // processes))
    if job.device == "cuda":
        torch.cuda.set_device(rank)
    backend = "nccl" if job.device == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, init_method=rendezvous, rank=rank, world_size=processes)
    try:
        fit_one(job, rank, processes)
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()


def _iterations_logged(work: Path) -> int:
    """How far the first child says in its log that it is."""
    try:
        lines = (work / LOG).read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    numbers: list[Any] = [line.split(" of ")[0].rsplit(" ", 1)[-1] for line in lines if " of " in line]
    return int(numbers[-1]) if numbers and numbers[-1].isdigit() else 0
