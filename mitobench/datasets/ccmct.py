"""CCMCT, canine cutaneous mast cell tumours: whole slides with a SlideRunner database (MEL, HEAEL or ODAEL)."""

from __future__ import annotations

import re
from types import MappingProxyType

from mitobench.datasets.whole_slides import WholeSlideReader


class Ccmct(WholeSlideReader):
    """Reads the variant ODAEL, or the only database that is here."""

    name = "ccmct"
    labels = re.compile(r"ccmct")
    example = "MITOS_WSI_CCMCT_ODAEL.sqlite"
    classes = MappingProxyType({2: True, 7: False})
    variant = "odael"
