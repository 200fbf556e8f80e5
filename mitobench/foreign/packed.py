"""Unpacks gzip up to a limit: a few megabytes can hold many gigabytes of zeros."""

from __future__ import annotations

import zlib
from pathlib import Path

from mitobench.errors import MitobenchError
from mitobench.foreign.files import read_bytes

_GZIP = zlib.MAX_WBITS | 16
_STEP = (
    1 << 12
)  # bytes per step. What a member does not use is copied, so small steps keep millions of empty members cheap


def read_unpacked(path: Path, max_bytes: int, what: str, error: type[MitobenchError] = MitobenchError) -> bytes:
    """Returns the content of a file, unpacked if its name ends in `.gz`.

    Raises `error` as `read_bytes` does, and for a packed file that is damaged or holds more than `max_bytes`.
    """
    content = read_bytes(path, max_bytes, what, error)
    if path.suffix != ".gz":
        return content
    try:
        return gunzip(content, max_bytes)
    except ValueError as reason:
        raise error(f"{path}: {reason}. Restore the {what} from where it came from.") from reason


def gunzip(data: bytes, max_bytes: int) -> bytes:
    """Unpacks gzip data of any number of members.

    Raises ValueError as soon as there are more than `max_bytes` unpacked bytes, and for data that are truncated,
    damaged or not gzip. The message does not name the file; the caller does.
    """
    parts: list[bytes] = []
    at = size = 0
    while at < len(data):
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            taken = data[at : at + _STEP]
            try:
                part = member.decompress(taken, max_bytes + 1 - size)
            except zlib.error as reason:
                raise ValueError(f"is not gzip, or is damaged ({reason})") from reason
            if not (taken or part or member.eof):
                raise ValueError("is cut short")
            at += len(taken) - len(member.unconsumed_tail) - len(member.unused_data)
            parts.append(part)
            size += len(part)
            if size > max_bytes:
                raise ValueError(f"holds more than {max_bytes:,} bytes unpacked, which is the limit")
        while data[at : at + 1] == b"\0":  # padding after a member
            at += 1
    return b"".join(parts)
