"""Finds CUDA devices, sets the number of threads and measures memory. Without torch there is the CPU only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from threadpoolctl import threadpool_limits


def has_torch() -> bool:
    """Returns whether torch is installed. Only learned plugins need it."""
    return find_spec("torch") is not None


def cuda_devices() -> list[str]:
    """Returns the names of the CUDA devices that torch finds."""
    if not has_torch():
        return []
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [torch.cuda.get_device_name(number) for number in range(count)]


def threads() -> int:
    """Returns the number of CPU threads that torch uses; without torch, the number of cores."""
    if not has_torch():
        return os.cpu_count() or 1
    import torch

    return torch.get_num_threads()


def set_threads(number: int) -> None:
    """Sets the number of CPU threads that torch uses. Does nothing without torch."""
    if has_torch():
        import torch

        torch.set_num_threads(number)


@contextmanager
def using_threads(number: int) -> Iterator[None]:
    """Within the block, torch and the libraries of linear algebra use this number of CPU threads."""
    before = threads()
    set_threads(number)
    try:
        with threadpool_limits(number):
            yield
    finally:
        set_threads(before)


def forget_peak_memory() -> None:
    """Lets `peak_memory` start again from the memory that this process uses now, where the system can do so (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory() -> int | None:
    """Returns the most memory that this process has used (resident set), bytes; None where it is not known."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    return None
