"""mitobench: a plugin-based model zoo and benchmark harness for mitosis detection in H&E histology.

From Python: `load` returns a model, and `run` runs a benchmark (docs/python.md).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mitobench.interface import load, run

__version__ = "0.2.0"
__all__ = ["__version__", "load", "run"]


def __getattr__(name: str) -> Any:
    """Imports `load` and `run` on first use, so that importing mitobench imports nothing else.

    The name of the module is computed: stages do not depend on what only users of `load` and `run` import.
    """
    if name in ("load", "run"):
        return getattr(importlib.import_module(f"{__name__}.interface"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
