"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from mitobench.errors import MitobenchError
from mitobench.foreign import check_target


def write_whole(path: Path, content: bytes) -> None:
    """Write a file aside, then rename: whoever reads it finds the old one or the new one, never a part.

    Its folder is made where it is missing. Raises MitobenchError when the disk is full or not writable.
    """
    try:
        _write(path, content)
    except OSError as reason:
        raise MitobenchError(
            f"{path}: cannot be written: {reason.strerror or reason}. Mend that, or name another place."
        ) from reason


def _write(path: Path, content: bytes) -> None:
    check_target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=".aside-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
