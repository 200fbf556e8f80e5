"""um/px of files and cards: when they differ, and how they are written."""

from __future__ import annotations

from mitobench.slides.reader.resolution import differ as differ
from mitobench.slides.reader.resolution import um_px as um_px
