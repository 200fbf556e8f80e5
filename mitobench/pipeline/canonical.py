"""One spelling for one value: what digests are taken of."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from mitobench.content import file_digest

__all__ = ["digest", "dumps", "file_digest"]


def dumps(value: Any) -> str:
    """JSON with sorted keys and no spaces; refuses NaN and infinity (ValueError)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def digest(value: Any) -> str:
    """SHA-256 of a JSON value's canonical spelling, in hexadecimal."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()
