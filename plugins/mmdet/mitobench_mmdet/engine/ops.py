"""Replaces mmcv's compiled operators, which MMDetection needs, by torchvision's if only mmcv-lite is installed.

`mmcv.ops` loads a compiled module `mmcv._ext` when it is imported. `install` puts a module of that name into
`sys.modules` before that happens. If compiled mmcv is installed, it is used and nothing is replaced.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from mitobench_mmdet.engine import operators

NAME = "mmcv._ext"


def install() -> None:
    """Provides `mmcv._ext` if it is missing. Call this before the first `import mmdet.models`."""
    if NAME not in sys.modules and importlib.util.find_spec(NAME) is None:
        sys.modules[NAME] = _Extension()


def _absent(op: str, *args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError(
        f"The operator {op!r} is missing in mmcv-lite and in mitobench_mmdet.engine.operators. "
        "Install the compiled one: `pip install mmcv`, in place of mmcv-lite."
    )


class _Extension(ModuleType):
    """Replaces the compiled module. A missing operator raises an error when it is called, not when it is imported."""

    def __init__(self) -> None:
        super().__init__(NAME, "Operators of mmcv by torchvision and torch; see mitobench_mmdet.engine.operators.")
        self.__spec__ = ModuleSpec(NAME, loader=None)

    def __getattr__(self, op: str) -> Callable[..., Any]:
        if op.startswith("_"):
            raise AttributeError(op)
        if op in operators.__all__:
            found: Callable[..., Any] = getattr(operators, op)
            return found
        return functools.partial(_absent, op)


def check() -> list[tuple[str, bool, str]]:
    """Compares every operator with a plain-torch reference. Returns (operator, whether they agree, details)."""
    from mitobench_mmdet.engine.ops_check import CHECKS

    install()
    results = []
    for op, compare in CHECKS.items():
        try:
            difference = compare()
            results.append((op, difference < 1e-4, f"differs by at most {difference:.1e} from plain torch"))
        except Exception as reason:  # the doctor reports whatever a broken installation raises
            results.append((op, False, f"{type(reason).__name__}: {reason}"))
    return results
