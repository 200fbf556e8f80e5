"""What there is to compute with: CUDA devices and threads. torch says it where it is installed; else there is a CPU."""

from __future__ import annotations

import os
from importlib.util import find_spec


def has_torch() -> bool:
    """Whether torch is installed: nothing needs it but what trains, and what was trained."""
    return find_spec("torch") is not None


def cuda_devices() -> list[str]:
    """Names of the CUDA devices that torch finds."""
    if not has_torch():
        return []
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [torch.cuda.get_device_name(number) for number in range(count)]


def threads() -> int:
    """Number of threads that a network computes with on the CPU; without torch that of the cores."""
    if not has_torch():
        return os.cpu_count() or 1
    import torch

    return torch.get_num_threads()


def set_threads(number: int) -> None:
    """Let networks compute with so many threads; nothing to do without torch."""
    if has_torch():
        import torch

        torch.set_num_threads(number)
