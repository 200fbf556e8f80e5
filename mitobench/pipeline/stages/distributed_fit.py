"""Starts N torch.distributed processes for one fit (`--gpus N`).

The child processes fit, and the first one saves. Only the parent plans, locks and writes to the store.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from mitobench.errors import PluginError
from mitobench.pipeline.saved_files import LOG
from mitobench.pipeline.stages.job import Job, silent
from mitobench.pipeline.starting import start_method

FitOne = Callable[[Job, int, int], None]

LONGEST_WAIT = timedelta(days=7)  # for the first process, which alone measures on validation frames


def fit_together(job: Job, fit_one: FitOne, processes: int) -> None:
    """Fit in `processes` processes: NCCL on CUDA, gloo on CPU.

    Args:
        job: the fit.
        fit_one: runs in each process, with the job, the process's rank and the number of processes.
        processes: number of processes.

    Raises PluginError if there are fewer GPUs than processes, or with the message of a child that failed.
    """
    import torch
    from torch.multiprocessing import start_processes
    from torch.multiprocessing.spawn import ProcessException

    available = torch.cuda.device_count()
    if job.device == "cuda" and available < processes:
        plural = "" if available == 1 else "s"
        raise PluginError(f"--gpus {processes}: this machine has {available} GPU{plural}. Use --gpus {available}.")
    with tempfile.TemporaryDirectory(prefix="mitobench-") as meeting:
        rendezvous = f"file://{Path(meeting) / 'rendezvous'}"
        threads, environment = torch.get_num_threads(), dict(os.environ)
        arguments = (fit_one, replace(job, progress=silent), processes, rendezvous, threads, environment)
        method = start_method(job.device)
        context = start_processes(_child, arguments, nprocs=processes, join=False, start_method=method)
        try:
            while not context.join(timeout=1.0):
                job.progress(_iterations_logged(job.work), 0)
        except ProcessException as reason:
            raise PluginError(_message(str(reason))) from reason
        except BaseException:  # after an interrupt, no child may go on writing checkpoints
            for process in context.processes:
                process.terminate()
            raise


def _child(
    rank: int,
    fit_one: FitOne,
    job: Job,
    processes: int,
    rendezvous: str,
    threads: int,
    environment: Mapping[str, str],
) -> None:
    import torch
    import torch.distributed

    os.environ.clear()  # of the process that it was forked from
    os.environ.update(environment, LOCAL_RANK=str(rank))
    torch.set_num_threads(max(1, threads // processes))
    if job.device == "cuda":
        torch.cuda.set_device(rank)
    backend = "nccl" if job.device == "cuda" else "gloo"
    torch.distributed.init_process_group(
        backend, init_method=rendezvous, rank=rank, world_size=processes, timeout=LONGEST_WAIT
    )
    try:
        fit_one(job, rank, processes)
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()


def _message(trace: str) -> str:
    """Returns the exception at the end of a child's traceback, with all lines of its message."""
    lines = trace.strip().splitlines()
    last_call = max((number for number, line in enumerate(lines) if line.startswith('  File "')), default=-1)
    return "\n".join(itertools.dropwhile(lambda line: line.startswith("    "), lines[last_call + 1 :]))


def _iterations_logged(work: Path) -> int:
    """Returns the number of the last iteration in the first child's log; 0 if there is none."""
    try:
        lines = (work / LOG).read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    numbers: list[Any] = [line.split(" of ")[0].rsplit(" ", 1)[-1] for line in lines if " of " in line]
    return int(numbers[-1]) if numbers and numbers[-1].isdigit() else 0
