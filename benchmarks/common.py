"""Prints the machine that a benchmark ran on, and tables in markdown."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

CPU_INFO = Path("/proc/cpuinfo")


def machine() -> str:
    """Returns one line with CPU and cores, torch and its threads, GPU if there is one, and date."""
    parts = [f"{_cpu()}, {os.cpu_count()} cores", f"torch {torch.__version__} with {torch.get_num_threads()} threads"]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name(0))
    return "; ".join([*parts, datetime.date.today().isoformat()])


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Returns a markdown table; the first column is text, the others are numbers."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _cpu() -> str:
    """Returns the model of the CPU, if the system reports it."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
