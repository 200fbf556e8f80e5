"""Where the registry's data files are: beside the package in a wheel, at the repository's root in a checkout."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mitobench.errors import MitobenchError, nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_HERE = Path(__file__).resolve().parent
ROOT = _HERE / "_registry" if (_HERE / "_registry").is_dir() else _HERE.parent / "registry"


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's content. Raises MitobenchError naming file and line where it is not valid."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as reason:
        raise MitobenchError(f"{path}: cannot be read: {reason.strerror}.") from reason
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
        raise MitobenchError(f"{path}: is not valid TOML: {reason}.") from reason


def entry(folder: str, name: str, suffix: str = ".toml") -> Path:
    """The registry's file `folder/name`. Raises MitobenchError with the nearest names when there is none."""
    path = ROOT / folder / f"{name}{suffix}"
    if not path.is_file():
        known = [p.stem for p in (ROOT / folder).glob(f"*{suffix}")]
        raise MitobenchError(f"registry/{folder} holds no {name!r}. {nearest(name, known)}")
    return path
