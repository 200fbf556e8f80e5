"""AMIDA13: images `NN/MM.tif` in a folder whose path names AMIDA, with labels `NN/MM.csv` of rows `row,col`.

Its cases 1-23 are also those of TUPAC16.
"""

from __future__ import annotations

from mitobench.datasets.cases import CasesReader


class Amida13(CasesReader):
    """Reads AMIDA13."""

    name = "amida13"
    folder = "amida"
    cases = 23

    def looked_for(self) -> str:
        """What `read` looked for, for messages."""
        return "images such as amida13/01/01.tif with labels such as 01/01.csv"
