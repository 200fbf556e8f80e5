"""Turns JSON values into canonical text, so that equal values have equal SHA-256 digests."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from mitobench.content import file_digest

__all__ = ["digest", "dumps", "file_digest"]


def dumps(value: Any) -> str:
    """Returns the value as JSON with sorted keys and no spaces. Raises ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def digest(value: Any) -> str:
    """Returns the SHA-256 of a value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()
