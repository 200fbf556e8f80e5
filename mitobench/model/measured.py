"""What a model's card says in words: its measured F1, what it learned from, and its notes."""

from __future__ import annotations

import re

from mitobench.gallery.outcomes import short
from mitobench.model.card import ModelCard
from mitobench.report.markdown import number

# Notes of records, and the same for readers who train no models.
_SHARED = r"(.+): slides are shared between training and test"
_IN_WORDS = (
    (_SHARED, r"some test images of \1 are of slides it learned from"),
    (r"(.+): split together with .*validation slides choose too", r"images of \1 helped to choose the threshold"),
    (r"(.+): all labelled frames are learned from, .*", r"it learned from all labelled images of \1"),
    (r"(.+): (.*); positives only", r"of \1, only images with mitoses were there (\2)"),
    (r"(.+) from scratch", r"\1 learned from nothing but these images"),
    (r"(.+): its weights had been trained before, on (.+)", r"\1 had learned before, from \2"),
    (r"(.+) started from .+", r"\1 had learned from other pictures before"),
)


def f1_text(card: ModelCard) -> str:
    """Returns the F1 of a model's record for users, as one sentence."""
    interval = card.measured.f1_interval
    between = f" (95 % interval {number(interval.low)} to {number(interval.high)})" if interval else ""
    shared = any(re.fullmatch(_SHARED, note) for note in card.notes)
    less = " Some of its images are of slides that the model learned from: expect less on others." if shared else ""
    return (
        f"In a test on {card.measured.dataset} it reached F1 {number(card.measured.f1)}{between}, where 1 means "
        f"that every mitosis and nothing else is found.{less}"
    )


def training_text(card: ModelCard) -> str:
    """Returns from how many images of which data sets a model learned, as one sentence."""
    parts = (f"{counts.get('train', 0)} images of {name}" for name, counts in card.train_on.items())
    return f"It learned from {' and '.join(parts)}."


def note_text(note: str) -> str:
    """Returns a note of a record in words that need no knowledge of training; other notes as they are."""
    for pattern, words in _IN_WORDS:
        if re.fullmatch(pattern, note):
            return re.sub(f"^{pattern}$", words, note)
    return note


def measured_text(card: ModelCard) -> str:
    """Returns the F1 of a model's record, on which frames and how it was measured, as two sentences.

    `Model.load` raises the limits of the detector, so that what `predict` finds can differ from what the record has.
    """
    measured, interval = card.measured, card.measured.f1_interval
    between = f" [{number(interval.low)}, {number(interval.high)}]" if interval else ""
    return (
        f"F1 {number(measured.f1)}{between} on the test part of {measured.dataset} ({measured.protocol}, seed "
        f"{measured.seed}) at a threshold of {short(card.measured_threshold)}, as its record says. When it searches "
        "images, limits on the number of its candidates are raised, so F1 may differ."
    )
