"""Recomputes the fused scores of records whose fuser belongs to the core package.

What such a fuser computes follows from its options and from what it chose on validation. A record holds both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mitobench import discovery
from mitobench.api import Fuser
from mitobench.errors import PluginError, wrong_fields
from mitobench.evaluate import StoredDetections
from mitobench.pipeline.rounding import SCORE_DIGITS
from mitobench.results.mismatch import Mismatch, mismatches
from mitobench.results.recompute import Recomputation
from mitobench.results.schema import Record

Floats = NDArray[np.float64]

MIGRATED_TOLERANCE = 1e-5  # relative and absolute: migration rounded fused scores and their inputs separately


def wrong_scores(recomputation: Recomputation) -> Iterator[Mismatch]:
    """Yields the first verifier score and the first fused score of each file that cannot be right.

    Fused scores are recomputed for fusers of the core package only: how other fusers compute is not known here.
    """
    fuser, wrong = _core_fuser(recomputation.record)
    yield from wrong
    for name, stored in (("detections", recomputation.test), ("validation_detections", recomputation.val)):
        if stored is not None:
            missing = list(_wrong_verifier_scores(name, stored, recomputation.verified))
            yield from missing
            if fuser and not missing:
                yield from _wrong_fused_scores(name, stored, fuser, recomputation)


# ------------------------------------------------------------------------------------------------------ the fuser


def _core_fuser(record: Record) -> tuple[Fuser | None, list[Mismatch]]:
    """Returns the fuser as it was after `fit`, and what is wrong with its entries; None for other packages' fusers."""
    entry = record.plugins["fuser"]
    cls = _core_class(entry.name)
    if cls is None:
        return None, []
    assert record.chosen is not None
    if entry.version.partition(" ")[0] != cls.version:
        return None, [Mismatch("plugins.fuser.version", entry.version, f"{cls.version}, the only one known here")]
    try:
        fuser: Fuser = cls(cls.Options.model_validate(entry.options))
    except ValidationError as reason:
        return None, [
            Mismatch("plugins.fuser.options", entry.options, f"options of {entry.name}: {wrong_fields(reason)}")
        ]
    try:
        fuser.restore(record.chosen.fuser)
    except PluginError as reason:
        return None, [Mismatch("chosen.fuser", record.chosen.fuser, f"what {entry.name} chooses: {reason}")]
    as_json = json.loads(json.dumps(fuser.chosen()))
    return fuser, list(mismatches(record.chosen.fuser, as_json, "chosen.fuser"))


def _core_class(name: str) -> Any:
    """Returns the class of a fuser of the core package; None if the core package has none of that name."""
    claims = discovery.found()["fuser"].get(name, [])
    return next((claim.load() for claim in claims if claim.package == discovery.CORE), None)


# ----------------------------------------------------------------------------------------------------- the scores


def _wrong_verifier_scores(name: str, stored: StoredDetections, verified: bool) -> Iterator[Mismatch]:
    """Yields the first candidate without a score of the verifier; if none took part, the first with one."""
    has_score = ~np.isnan(stored.verifier)
    wrong = np.flatnonzero(stored.is_candidate & ~has_score if verified else has_score)
    if len(wrong):
        expected = "a number, as a verifier took part" if verified else "empty, as no verifier took part"
        recorded = "empty" if verified else stored.verifier[wrong[0]]
        yield Mismatch(f"{name}: verifier_score of row {wrong[0] + 2}", recorded, expected)


def _wrong_fused_scores(
    name: str, stored: StoredDetections, fuser: Fuser, recomputation: Recomputation
) -> Iterator[Mismatch]:
    rows = np.flatnonzero(stored.is_candidate)
    detector = stored.detector[rows]
    verifier = stored.verifier[rows] if recomputation.verified else detector
    with np.errstate(all="ignore"):  # parameters made up by somebody may overflow
        fused = fuser.fuse(detector, verifier)
        difference = np.abs(stored.score[rows] - fused)
        close = difference <= _tolerance(fused, bool(recomputation.record.migrated))
    wrong = np.flatnonzero(~close)  # NaN is not close to anything
    if len(wrong):
        row = rows[wrong[0]]
        yield Mismatch(f"{name}: score of row {row + 2}", stored.score[row], float(fused[wrong[0]]))


def _tolerance(fused: Floats, migrated: bool) -> Floats:
    """Returns how far recorded scores may be from fused ones, [N]; runs round them to `SCORE_DIGITS` digits."""
    size = np.maximum(np.abs(fused), np.finfo(np.float64).tiny)
    if migrated:
        return MIGRATED_TOLERANCE * (1 + size)
    half_a_unit: Floats = 0.5 * 10.0 ** (np.floor(np.log10(size)) - (SCORE_DIGITS - 1))
    return half_a_unit * (1 + 1e-6) + 1e-12 * size
