"""What the machine has: a GPU that computes, cores, memory, room in the store."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mitobench.compute import has_torch
from mitobench.doctor.finding import Finding, State

GIB = 1 << 30
TRAINING = "pip install mitobench-networks mitobench-mmdet"  # the packages that bring networks bring torch
# What the smallest benchmark needs; less is not forbidden, so it is a note.
ENOUGH_MEMORY = 6 * GIB
ENOUGH_DISK = 10 * GIB
LEAST_DISK = GIB


def cuda() -> Iterator[Finding]:
    """Whether a GPU computes what the CPU does. A machine without one is not at fault."""
    if not has_torch():
        yield Finding(
            "CUDA", "note", "torch is not installed: everything runs on the CPU, and no network trains", TRAINING
        )
        return
    import torch

    if not torch.cuda.is_available():
        if shutil.which("nvidia-smi"):
            built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is a CPU build"
            mend = "If there is a GPU, install the torch that is built for its driver (`nvidia-smi` tells which)."
            yield Finding("CUDA", "note", f"a driver is here, but torch finds no device; {built}", mend)
        else:
            yield Finding("CUDA", "note", "no device: everything runs on the CPU")
        return
    for index in range(torch.cuda.device_count()):
        left = torch.arange(64.0).reshape(8, 8)
        product = (left.to(f"cuda:{index}") @ left.to(f"cuda:{index}")).cpu()
        right = torch.allclose(product, left @ left, rtol=1e-2)  # TF32 keeps ten bits
        memory = torch.cuda.get_device_properties(index).total_memory / GIB
        detail = f"{torch.cuda.get_device_name(index)}, {memory:.0f} GiB"
        if right:
            yield Finding(f"cuda:{index}", "ok", f"{detail}, multiplies as the CPU does")
        else:
            mend = "Install the torch that is built for its driver, or use `--device cpu`."
            yield Finding(f"cuda:{index}", "FAIL", f"{detail}, multiplies wrongly", mend)


def machine() -> Iterator[Finding]:
    """Cores and memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cores", "ok", str(cores))
    memory = _memory()
    if memory is None:
        yield Finding("memory", "note", "this system does not tell how much there is")
    elif memory < ENOUGH_MEMORY:
        mend = "Use `--profile smoke`, and no --jobs."
        yield Finding("memory", "note", f"{memory / GIB:.1f} GiB, {ENOUGH_MEMORY / GIB:.0f} or more are good", mend)
    else:
        yield Finding("memory", "ok", f"{memory / GIB:.1f} GiB")


def _memory() -> int | None:
    """Bytes of memory, or of the container's share of it."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    try:
        return min(total, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no such limit, or the word `max`
        return total


def store() -> Iterator[Finding]:
    """Whether the store that `mitobench run` would use can be written, and how much room there is."""
    from mitobench.benchmark import default_store

    folder = Path(os.environ.get("MITOBENCH_STORE") or default_store())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"mitobench")
    except OSError as reason:
        mend = "Give a folder that can be written with --store or MITOBENCH_STORE."
        yield Finding("store", "FAIL", f"{folder}: cannot be written: {reason.strerror}", mend)
        return
    free = shutil.disk_usage(folder).free
    state: State = "ok" if free >= ENOUGH_DISK else "note" if free >= LEAST_DISK else "FAIL"
    mend = "" if state == "ok" else "Free some space there, or give another folder with --store or MITOBENCH_STORE."
    yield Finding("store", state, f"{folder}: can be written, {free / GIB:.1f} GiB free", mend)
