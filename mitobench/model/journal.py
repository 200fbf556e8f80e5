"""A file of finished cells of one image, so that a search continues where it was interrupted.

The first line says what was searched, with what. Each further entry is the number of a cell and its candidates, with a
checksum. An entry that was not written in full is dropped, so the search can be killed at any moment.
"""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mitobench.api import Detections
from mitobench.errors import MitobenchError
from mitobench.model.model import CellCandidates

_HEAD = struct.Struct("<IIq")  # length, checksum, number of the cell
_MAX_LINE = 1 << 20
_MAX_ENTRY = 1 << 30
_EXTRA = "extra."


class Journal:
    """The finished cells of one image.

    Attributes:
        done: their candidates, by number of the cell.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Opens the journal, with the cells that were finished before if `identity` is the same.

        Raises MitobenchError if it cannot be written.
        """
        self.path, self.done = path, dict[int, CellCandidates]()
        line = json.dumps(identity, sort_keys=True).encode() + b"\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            end = self._read(line)
            self._file = path.open("r+b" if end else "wb")
            if end:
                self._file.truncate(end)
                self._file.seek(end)
            else:
                self._file.write(line)
                self._file.flush()
        except OSError as reason:
            raise _unwritable(path, reason) from reason

    def add(self, found: CellCandidates) -> None:
        """Adds a finished cell. Raises MitobenchError if it cannot be written."""
        content = _packed(found)
        try:
            self._file.write(_HEAD.pack(len(content), zlib.crc32(content), found.number) + content)
            self._file.flush()
        except OSError as reason:
            raise _unwritable(self.path, reason) from reason
        self.done[found.number] = found

    def close(self) -> None:
        """Closes the file and keeps it."""
        try:
            self._file.close()
        except OSError as reason:
            raise _unwritable(self.path, reason) from reason

    def remove(self) -> None:
        """Closes and deletes the file."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _read(self, line: bytes) -> int:
        """Reads the cells of a journal that begins with `line`; returns where the last whole entry ends, or 0."""
        if not self.path.is_file():
            return 0
        with self.path.open("rb") as file:
            if file.readline(_MAX_LINE) != line:
                return 0
            end = file.tell()
            for found in _entries(file):
                self.done[found.number] = found
                end = file.tell()
        return end


def _entries(file: BinaryIO) -> Iterator[CellCandidates]:
    size = os.fstat(file.fileno()).st_size
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        length, checksum, number = _HEAD.unpack(head)
        if length > min(_MAX_ENTRY, size - file.tell()):
            return
        content = file.read(length)
        if zlib.crc32(content) != checksum:
            return
        yield _unpacked(number, content)


def _packed(found: CellCandidates) -> bytes:
    """The candidates of a cell as npz; nothing for a cell without any."""
    if not len(found):
        return b""
    detections = found.detections
    arrays = {"xy": detections.xy, "boxes": detections.boxes, "score": detections.score, "verifier": found.verifier}
    arrays |= {f"{_EXTRA}{name}": values for name, values in detections.extra.items()}
    if detections.kind is not None:
        arrays["kind"] = detections.kind
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    return content.getvalue()


def _unpacked(number: int, content: bytes) -> CellCandidates:
    if not content:
        return CellCandidates(number, Detections.none(), np.zeros(0))
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    extra = {name.removeprefix(_EXTRA): values for name, values in arrays.items() if name.startswith(_EXTRA)}
    detections = Detections(arrays["xy"], arrays["boxes"], arrays["score"], kind=arrays.get("kind"), extra=extra)
    return CellCandidates(number, detections, arrays["verifier"])


def _unwritable(path: Path, reason: OSError) -> MitobenchError:
    return MitobenchError(
        f"{path}: cannot be written: {reason.strerror or reason}. Fix this, then run the same command again: finished "
        "parts are kept."
    )
