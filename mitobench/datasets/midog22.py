"""MIDOG 2022, training set: the MIDOG layout with the labels `MIDOG2022_training.json`."""

from __future__ import annotations

import re

from mitobench.datasets.midog import MidogReader


class Midog22(MidogReader):
    """Reads MIDOG 2022, training set. Skips synthetic frames in the same layout."""

    name = "midog22"
    labels = re.compile(r"(midog(20)?22([-_ ]?train(ing)?)?)\.json")

    def example(self) -> str:
        """The usual name of the JSON, for messages."""
        return "MIDOG2022_training.json"
