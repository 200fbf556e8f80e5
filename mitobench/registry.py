"""Where the registry's data files are: beside the package in a wheel, at the repository's root in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mitobench import foreign
from mitobench.errors import MitobenchError, nearest
from mitobench.foreign.limits import MAX_CONFIG_BYTES

_HERE = Path(__file__).resolve().parent
ROOT = _HERE / "_registry" if (_HERE / "_registry").is_dir() else _HERE.parent / "registry"


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's content. Raises MitobenchError naming file and line where it is not valid."""
    return foreign.read_toml(path, MAX_CONFIG_BYTES, "TOML file")


def is_name(name: str) -> bool:
    """Whether a name can be that of one file in a folder: no separators, and no longer than a file system takes."""
    return 0 < len(name) <= 200 and not set(name) & set("/\\\0") and name not in (".", "..")


def entry(folder: str, name: str, suffix: str = ".toml") -> Path:
    """The registry's file `folder/name`. Raises MitobenchError with the nearest names when there is none."""
    path = ROOT / folder / f"{name}{suffix}"
    if not is_name(name) or not path.is_file():
        known = [p.stem for p in (ROOT / folder).glob(f"*{suffix}")]
        raise MitobenchError(f"registry/{folder} holds no {name!r}. {nearest(name, known)}")
    return path
