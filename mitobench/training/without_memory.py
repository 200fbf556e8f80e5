"""Builds networks without memory, to know their size or the names of their tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


@contextmanager
def without_memory() -> Iterator[None]:
    """Within the block new tensors are on torch's `meta` device: they have shapes and no content.

    Except those of `torch.linspace`: older versions of timm read the rates of stochastic depth from them.
    """
    with torch.device("meta"), _LinspaceOnCPU():
        yield


class _LinspaceOnCPU(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls `func`, with `linspace` on the CPU."""
        where = {"device": "cpu"} if func is torch.linspace else {}
        return func(*args, **{**(kwargs or {}), **where})
