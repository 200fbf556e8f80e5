"""What a model's measured F1 says, in words."""

from __future__ import annotations

from mitobench.gallery.outcomes import short
from mitobench.model.card import ModelCard
from mitobench.report.markdown import number


def measured_text(card: ModelCard) -> str:
    """Returns the F1 of a model's record, on which frames and how it was measured, as two sentences.

    `Model.load` raises the limits of the detector, so that what `predict` finds differs from what the record has.
    """
    measured, interval = card.measured, card.measured.f1_interval
    between = f" [{number(interval.low)}, {number(interval.high)}]" if interval else ""
    return (
        f"F1 {number(measured.f1)}{between} on the test part of {measured.dataset} ({measured.protocol}, seed "
        f"{measured.seed}) at a threshold of {short(card.measured_threshold)}, as its record says. When it searches "
        "images, its detector keeps more candidates than in that run, so F1 may differ."
    )
