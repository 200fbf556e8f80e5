"""CMC, canine mammary carcinoma: whole slides with a SlideRunner database (MEL, ODAEL or CODAEL)."""

from __future__ import annotations

import re
from types import MappingProxyType

from mitobench.datasets.whole_slides import WholeSlideReader


class Cmc(WholeSlideReader):
    """Reads the variant CODAEL, or the only database that is here."""

    name = "cmc"
    labels = re.compile(r"(?<!c)cmc")
    example = "MITOS_WSI_CMC_CODAEL_TR_ROI.sqlite"
    classes = MappingProxyType({1: False, 2: True})
    variant = "codael"
