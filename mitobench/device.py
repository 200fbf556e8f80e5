"""Finds the device to compute on."""

from __future__ import annotations

from mitobench import compute
from mitobench.errors import MitobenchError


def find_device(name: str, processes: int = 1) -> str:
    """Returns `cpu` or `cuda`; for `auto`, `cuda` if there is a CUDA device.

    Raises MitobenchError for another name, or if there are too few CUDA devices for this number of processes.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise MitobenchError(f"--device {name}: must be auto, cpu or cuda.")
    count = len(compute.cuda_devices()) if name != "cpu" else 0
    if name == "cuda" and not count:
        raise MitobenchError("--device cuda: torch finds no CUDA device. Run `mitobench doctor` to see why.")
    device = "cuda" if count else "cpu"
    if device == "cuda" and count < processes:
        raise MitobenchError(f"--gpus {processes}: torch finds fewer CUDA devices ({count}). Use --gpus {count}.")
    return device
