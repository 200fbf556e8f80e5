"""Compares an image with the frames that a model was trained on: stain, um/px, sharpness and colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Frame
from mitobench.model.card import ModelCard, Range, TrainingRanges
from mitobench.slides.appearance import MEASURES, measure, patches_of, patches_of_slide
from mitobench.slides.overview import Copies
from mitobench.slides.reader import Image, oddities
from mitobench.slides.tissue import Tissue

Pixels = NDArray[np.uint8]

PERCENTILES = (1, 99)  # of the training patches of a source, between which an image is as usual
MIN_PATCHES = 10  # of the training frames of a source, for ranges
MAX_FRAMES = 200  # training frames of a source that are measured, spread evenly
MPP_TOLERANCE = 0.1  # relative, beyond the um/px of the training frames
RANGE_TOLERANCE = 0.05  # of the width of a range, beyond its ends
DOUBTFUL_TIMES = 4.0  # um/px that differ from those of the file by this factor or more are doubtful
OVERVIEW_PX = 1024
NO_TISSUE = (
    "no part of the image has the colours of H&E, so no tissue was found; if it is there, say where with --tissue"
)
DOUBT = (
    "the um/px that are used are far from those that the file says: if the file is right, cells have a size that the "
    "model has never seen, and the counts mean nothing"
)
NO_STAIN = "what was searched does not have the colours of H&E, so its stain is not that of the training frames"


@dataclass(frozen=True)
class Judgement:
    """What is odd about an image, and whether its counts mean anything.

    Attributes:
        judged: False for an image that is grey, black, of one colour or inverted, or on which nothing has the colours
            of H&E: it has no counts, not even 0.
        notes: how the image differs from the training frames, one sentence each without a full stop.
        doubt: why the counts may mean nothing although the image is judged, one sentence without a full stop; or empty.
    """

    judged: bool = True
    notes: tuple[str, ...] = ()
    doubt: str = ""

    @property
    def remarks(self) -> tuple[str, ...]:
        """The doubt, if there is one, and the notes."""
        return (self.doubt, *self.notes) if self.doubt else self.notes


NOTHING_ODD = Judgement()


def judge_image(
    card: ModelCard,
    image: Image,
    mpp: tuple[float, float],
    tissue: Tissue,
    copies: Copies | None = None,
    found: bool = False,
) -> Judgement:
    """Judges an image of any size: reads a reduced copy of it, and up to 64 small parts of its tissue.

    Args:
        card: of the model, with the ranges of its training frames if it has them.
        image: the image.
        mpp: um/px along x and y that are used.
        tissue: where tissue is.
        copies: reduced copies of the image, which others need too.
        found: whether tissue was found there, or given by the user; otherwise parts of the image must show it.
    """
    small, decoded = (copies or Copies(image)).within(OVERVIEW_PX)
    if not decoded.any():  # the search reports what cannot be decoded
        return NOTHING_ODD
    samples = patches_of_slide(image, mpp, tissue, card.mpp) if card.ranges or not found else []
    judgement = judge(card, small, samples, mpp, found)
    doubtful = judgement.judged and _is_doubtful(image.mpp, mpp)
    return replace(judgement, doubt=DOUBT) if doubtful else judgement


def judge(
    card: ModelCard, pixels: Pixels, samples: Sequence[Pixels], mpp: tuple[float, float], found: bool = False
) -> Judgement:
    """Judges an image by a reduced copy and parts of its tissue.

    Args:
        card: of the model.
        pixels: reduced copy of the whole image, uint8 RGB [h, w, 3].
        samples: parts of the tissue at the model's um/px, uint8 RGB [h, w, 3].
        mpp: um/px of the image along x and y.
        found: as for `judge_image`.

    A part counts if enough of it has the colours of H&E. The median over the parts is compared with the range of the
    training frames.
    """
    odd = oddities(pixels)
    if odd:
        return Judgement(False, tuple(odd))
    measured = [values for values in map(measure, samples) if values is not None]
    if not measured and not found:
        return Judgement(False, (NO_TISSUE,))
    if card.ranges is None:
        return NOTHING_ODD
    notes = _resolution(card.ranges.mpp, mpp)
    if not measured:
        return Judgement(True, (*notes, NO_STAIN))
    for name, range_ in card.ranges.values.items():
        if name in MEASURES:
            value = float(np.median([values[name] for values in measured]))
            notes += _outside(MEASURES[name], value, range_)
    return Judgement(True, tuple(notes))


def ranges_of(frames: Iterable[Frame], model_mpp: float) -> TrainingRanges | None:
    """Measures training frames. Returns None if they show too little tissue.

    Args:
        frames: the training frames; at most MAX_FRAMES of a source are read.
        model_mpp: um/px of the model.

    A source is a scanner of a data set. Each is measured for itself, so that one with few frames counts as much as one
    with many: a range goes from the lowest to the highest end of the sources' own ranges.
    """
    sources: dict[tuple[str, str], list[Frame]] = {}
    for frame in frames:
        sources.setdefault((frame.dataset, frame.scanner), []).append(frame)
    read, patches, found = 0, 0, list[dict[str, Range]]()
    for own in sources.values():
        chosen = [own[i] for i in np.unique(np.linspace(0, len(own) - 1, MAX_FRAMES).round().astype(int))]
        measured = [
            values
            for frame in chosen
            for values in map(measure, patches_of(frame.read(), frame.mpp, model_mpp))
            if values is not None
        ]
        if len(measured) >= MIN_PATCHES:
            read, patches = read + len(chosen), patches + len(measured)
            found.append({name: _range([values[name] for values in measured]) for name in MEASURES})
    if not found:
        return None
    resolutions = [value for own in sources.values() for frame in own for value in frame.mpp]
    return TrainingRanges(
        frames=read,
        patches=patches,
        mpp=Range(low=min(resolutions), high=max(resolutions)),
        values={name: _spanning([ranges[name] for ranges in found]) for name in MEASURES},
    )


def _range(values: Sequence[float]) -> Range:
    low, high = np.percentile(values, PERCENTILES).tolist()
    return Range(low=float(f"{low:.4g}"), high=float(f"{high:.4g}"))


def _spanning(ranges: Sequence[Range]) -> Range:
    return Range(low=min(one.low for one in ranges), high=max(one.high for one in ranges))


def _resolution(trained: Range, mpp: tuple[float, float]) -> list[str]:
    low, high = trained.low * (1 - MPP_TOLERANCE), trained.high * (1 + MPP_TOLERANCE)
    if low <= min(mpp) and max(mpp) <= high:
        return []
    kind = "coarser" if max(mpp) > high else "finer"
    return [f"{kind} um/px than the training frames: {_numbers(*sorted({*mpp}))}, and they have {_span(trained)}"]


def _is_doubtful(file: tuple[float, float] | None, used: tuple[float, float]) -> bool:
    """Whether the um/px that are used are far from those that the file says, if it says any."""
    ratios = [] if file is None else [a / b for a, b in zip(file, used, strict=True)]
    return any(not 1 / DOUBTFUL_TIMES < ratio < DOUBTFUL_TIMES for ratio in ratios)


def _outside(what: str, value: float, trained: Range) -> list[str]:
    tolerance = RANGE_TOLERANCE * (trained.high - trained.low)
    if trained.low - tolerance <= value <= trained.high + tolerance:
        return []
    much = "lower" if value < trained.low else "higher"
    return [f"{what} is {much} than in the training frames: {value:.3g}, and theirs is {_span(trained)}"]


def _span(range_: Range) -> str:
    low, high = (f"{value:.3g}" for value in (range_.low, range_.high))
    return low if range_.low == range_.high else f"{low} to {high}"


def _numbers(*values: float) -> str:
    return " x ".join(f"{value:.3g}" for value in values)
