"""Packs a fitted detector, verifier and fuser into one folder, and finds mitoses with it on any image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mitobench.model.model import Model, Prediction
    from mitobench.model.packing import pack

__all__ = ["CARD", "Model", "Prediction", "pack"]

CARD = "model.json"  # the file in a model folder that describes it


def __getattr__(name: str) -> Any:
    """Imports the names on first use, so that checking images and arguments imports no plugin."""
    if name in ("Model", "Prediction"):
        from mitobench.model import model

        return getattr(model, name)
    if name == "pack":
        from mitobench.model import packing

        return packing.pack
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
