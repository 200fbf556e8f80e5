"""The note about images that are annotated and not here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mitobench.datasets.card import Card
from mitobench.datasets.spans import spans


def missing_images(labels: Path, card: Card, slides: Sequence[str], of: int) -> str:
    """Says how many images are missing, which, and where to get them."""
    source = f"; available from {card.images_from}" if card.images_from else ""
    return f"{labels}: {len(slides)} of {of} images are missing: {spans(slides)}{source}"
