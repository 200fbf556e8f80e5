"""Packs a fitted detector, verifier and fuser into one folder, and predicts with it on any images."""

from mitobench.model.model import Model, Prediction
from mitobench.model.pack import pack

__all__ = ["Model", "Prediction", "pack"]
