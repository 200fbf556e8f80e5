"""MIDOG 2021: the MIDOG layout with the labels `MIDOG.json`."""

from __future__ import annotations

import re

from mitobench.datasets.midog import MidogReader


class Midog21(MidogReader):
    """Reads MIDOG 2021. Skips synthetic frames in the same layout."""

    name = "midog21"
    labels = re.compile(r"(midog(2021)?([-_ ]?train(ing)?)?|midog21)\.json")

    def example(self) -> str:
        """The usual name of the JSON, for messages."""
        return "MIDOG.json"
