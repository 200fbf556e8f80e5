"""A fitted detector, verifier and fuser in one folder, and what they find on anybody's images."""

from mitobench.model.model import Model, Prediction
from mitobench.model.pack import pack

__all__ = ["Model", "Prediction", "pack"]
