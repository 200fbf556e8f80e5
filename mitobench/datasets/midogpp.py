"""MIDOG++: the MIDOG layout with the labels `MIDOG++.json`."""

from __future__ import annotations

import re

from mitobench.datasets.midog import MidogReader


class MidogPlusPlus(MidogReader):
    """Reads MIDOG++. Skips synthetic frames in the same layout."""

    name = "midogpp"
    labels = re.compile(r"(midog(\+\+|pp)[^/]*)\.json")

    def example(self) -> str:
        """The usual name of the JSON, for messages."""
        return "MIDOG++.json"
