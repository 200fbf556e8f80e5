"""Describes where a result comes from: versions, machine and git state."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from mitobench import compute

PACKAGES = ("mitobench", "torch", "torchvision", "mmdet", "mmengine", "mmcv", "mmcv-lite", "numpy", "scikit-image")


@functools.cache
def versions() -> dict[str, str]:
    """Returns the versions of Python and of the installed packages that can change a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def host(device: str) -> dict[str, str]:
    """Describes the machine without names or paths."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "accelerator": compute.cuda_devices()[0] if device == "cuda" else "none used",
    }


@functools.cache
def git_state(folder: Path | None = None) -> str | None:
    """Returns the commit that mitobench runs from, with `+changes` if tracked files differ; None outside a checkout."""
    top = folder or Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(top), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != top:
            return None
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None
