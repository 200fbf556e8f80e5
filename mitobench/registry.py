"""Finds the data files of the registry: inside the package in a wheel, at the root of the repository in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mitobench import foreign
from mitobench.errors import MitobenchError, nearest
from mitobench.foreign.limits import MAX_CONFIG_BYTES

_HERE = Path(__file__).resolve().parent
ROOT = _HERE / "_registry" if (_HERE / "_registry").is_dir() else _HERE.parent / "registry"


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file. Raises MitobenchError, with file and line, if it is not valid."""
    return foreign.read_toml(path, MAX_CONFIG_BYTES, "TOML file")


def is_name(name: str) -> bool:
    """Returns whether a name can be the name of a file: no path separators, and at most 200 characters."""
    return 0 < len(name) <= 200 and not set(name) & set("/\\\0") and name not in (".", "..")


def entry(folder: str, name: str, suffix: str = ".toml") -> Path:
    """Returns the path of the registry's file `folder/name`. Raises MitobenchError if there is none."""
    path = ROOT / folder / f"{name}{suffix}"
    if not is_name(name) or not path.is_file():
        known = [p.stem for p in (ROOT / folder).glob(f"*{suffix}")]
        raise MitobenchError(f"registry/{folder} has no {name!r}. {nearest(name, known)}")
    return path
