"""Patches of frames as affine maps, from `mitobench.training`."""

from mitobench.training.view import EDGE, View, turning

__all__ = ["EDGE", "View", "turning"]
