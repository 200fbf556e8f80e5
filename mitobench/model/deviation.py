"""Compares an image with the frames that a model was trained on: stain, um/px, sharpness and colour."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Judgement:
    """What is odd about an image, and whether its counts mean anything.

    Attributes:
        judged: False for an image that is grey, black or of one colour: it has no counts, not even 0.
        notes: how the image differs from the training frames, one sentence each without a full stop.
    """

    judged: bool = True
    notes: tuple[str, ...] = ()


NOTHING_ODD = Judgement()
