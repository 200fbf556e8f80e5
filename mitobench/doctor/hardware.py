"""Checks the machine: GPU, cores, memory, and free space in the store."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mitobench.compute import has_torch
from mitobench.doctor.finding import Finding, State
from mitobench.installing import install
from mitobench.slides.reader.memory import limit

GIB = 1 << 30
# Needs of the smallest benchmark. Less is allowed, so it is only a note.
ENOUGH_MEMORY = 6 * GIB
ENOUGH_DISK = 10 * GIB
MIN_DISK = GIB


def cuda() -> Iterator[Finding]:
    """Checks that a GPU computes the same as the CPU. A missing GPU is not a failure."""
    if not has_torch():
        yield Finding(
            "CUDA",
            "note",
            "torch is not installed: everything runs on the CPU, and no network can be trained",
            install("mitobench-networks", "mitobench-mmdet"),  # these packages install torch
        )
        return
    import torch

    if not torch.cuda.is_available():
        if shutil.which("nvidia-smi"):
            built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is a CPU build"
            fix = "If there is a GPU, install a build of torch for its driver (shown by `nvidia-smi`)."
            yield Finding("CUDA", "note", f"a GPU driver is installed, but torch finds no device; {built}", fix)
        else:
            yield Finding("CUDA", "note", "no GPU: everything runs on the CPU")
        return
    for index in range(torch.cuda.device_count()):
        left = torch.arange(64.0).reshape(8, 8)
        product = (left.to(f"cuda:{index}") @ left.to(f"cuda:{index}")).cpu()
        right = torch.allclose(product, left @ left, rtol=1e-2)  # TF32 keeps ten bits
        memory = torch.cuda.get_device_properties(index).total_memory / GIB
        detail = f"{torch.cuda.get_device_name(index)}, {memory:.0f} GiB"
        if right:
            yield Finding(f"cuda:{index}", "ok", f"{detail}, computes the same as the CPU")
        else:
            fix = "Install a build of torch for its driver, or use `--device cpu`."
            yield Finding(f"cuda:{index}", "FAIL", f"{detail}, gives wrong products", fix)


def machine() -> Iterator[Finding]:
    """Reports cores and memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cores", "ok", str(cores))
    memory = _memory()
    if memory is None:
        yield Finding("memory", "note", "the amount is not known on this system")
    elif memory < ENOUGH_MEMORY:
        fix = "Use `--profile smoke`, and no --jobs."
        yield Finding("memory", "note", f"{memory / GIB:.1f} GiB; recommended: {ENOUGH_MEMORY / GIB:.0f} or more", fix)
    else:
        yield Finding("memory", "ok", f"{memory / GIB:.1f} GiB")


def _memory() -> int | None:
    """Bytes of memory, or the container's limit if it is lower; None if unknown."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    at_most = limit()
    return total if at_most is None else min(total, at_most)


def store() -> Iterator[Finding]:
    """Checks that the store of `mitobench run` can be written and has enough free space."""
    from mitobench.pipeline.store import default_store

    folder = Path(os.environ.get("MITOBENCH_STORE") or default_store())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"mitobench")
    except OSError as reason:
        fix = "Give a writable folder with --store or MITOBENCH_STORE."
        yield Finding("store", "FAIL", f"{folder}: cannot be written: {reason.strerror}", fix)
        return
    free = shutil.disk_usage(folder).free
    state: State = "ok" if free >= ENOUGH_DISK else "note" if free >= MIN_DISK else "FAIL"
    fix = "" if state == "ok" else "Free some space, or give another folder with --store or MITOBENCH_STORE."
    yield Finding("store", state, f"{folder}: writable, {free / GIB:.1f} GiB free", fix)
