"""Reads which tensors a safetensors file holds, without torch and without reading the tensors."""

from __future__ import annotations

import json
from pathlib import Path

from mitobench.errors import PluginError
from mitobench.foreign.files import check_regular
from mitobench.foreign.limits import MAX_WEIGHTS_BYTES

MAX_HEADER_BYTES = 100_000_000  # as the format has it
METADATA = "__metadata__"


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each tensor of a .safetensors file by name. Raises PluginError if it cannot be read."""
    check_regular(path, MAX_WEIGHTS_BYTES, "file of weights", PluginError)
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > MAX_HEADER_BYTES:
                raise ValueError(f"its header has {size:,} bytes")
            header = json.loads(file.read(size))
        return {name: tuple(map(int, of["shape"])) for name, of in header.items() if name != METADATA}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as reason:
        raise PluginError(f"{path}: cannot be read as .safetensors: {reason}. Copy it again.") from reason
