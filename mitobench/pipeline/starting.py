"""How the processes of a run start: forked from one that has already imported what they need, or as new interpreters.

Importing torch and mmengine takes seconds of a CPU, for each new interpreter.
"""

from __future__ import annotations

import multiprocessing
import sys

PRELOADED = ["mitobench.pipeline.preloaded"]


def start_method(device: str) -> str:
    """Returns the start method of `multiprocessing` for processes that compute on this device.

    Processes on the CPU are forked from a server process, which imports third-party packages once and none of
    mitobench's or a plugin's code. Processes on a GPU start as new interpreters: importing mmengine asks CUDA for its
    devices, and CUDA cannot be used after a fork.
    """
    if device != "cpu" or sys.platform != "linux":
        return "spawn"
    multiprocessing.set_forkserver_preload(PRELOADED)
    return "forkserver"
