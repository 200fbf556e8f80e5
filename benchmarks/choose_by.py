"""What `pipeline.choose_by` changes: candidate threshold and fusion weight chosen by F1, or by average precision.

    python benchmarks/choose_by.py RECORDS [RECORDS ...]

Takes the records of `linear` and `logit-linear` in these folders that have the verifier's score of every candidate on
validation and test frames, and chooses on their validation frames anew, in both ways. No network is fitted, and the
detection threshold has the best validation F1 in both. Prints a row a record, and the means.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import table
from tqdm import tqdm

from mitobench.api import Floats, Validation
from mitobench.evaluate import StoredDetections, candidate_thresholds
from mitobench.evaluate.curve import Curve, sweep
from mitobench.evaluate.operating_point import best_point
from mitobench.methods.linear import Linear
from mitobench.methods.logit_linear import LogitLinear
from mitobench.results import record
from mitobench.results.recompute import Recomputation

FUSERS: dict[str, type[Linear]] = {fuser.name: fuser for fuser in (Linear, LogitLinear)}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, nargs="+", help="folders of records")
    folders = parser.parse_args().records
    found = [one for folder in folders for one in _with_all_scores(folder)]
    if not found:
        parser.error("no record there has the verifier's scores of all candidates on validation and test frames.")
    rows = [_row(one) for one in tqdm(found, disable=None)]
    means = [f"{np.mean([row[column] for row in rows]):.3f}" for column in range(1, 9)]
    shown = [[row[0], *(f"{value:.3f}" for value in row[1:])] for row in rows]
    columns = [f"{what}, by {by}" for by in ("F1", "AP") for what in ("gate", "weight", "F1", "AP")]
    print(table(["record", *columns], [*shown, [f"mean of {len(rows)}", *means]]))


def _with_all_scores(folder: Path) -> Iterator[Recomputation]:
    for path, one in record.read_all(folder):
        if one.status != "ok" or one.combination["fuser"] not in FUSERS or one.validation_detections is None:
            continue
        read = Recomputation.read(path, one)
        assert read.val is not None
        if all(np.isfinite(stored.verifier).all() for stored in (read.val, read.test)):
            yield read


def _row(read: Recomputation) -> list[Any]:
    combination = read.record.combination
    names = (combination[key] for key in ("dataset", "protocol", "detector", "verifier", "fuser", "seed"))
    return [" ".join(map(str, names)), *_chosen(read, by_ap=False), *_chosen(read, by_ap=True)]


def _chosen(read: Recomputation, by_ap: bool) -> list[float]:
    """Returns the candidate threshold (0: none), the detector's weight, and F1 and average precision on test frames."""
    assert read.record.frames is not None
    assert read.val is not None
    frames, val = read.record.frames, read.val
    rule: tuple[str, float] = str(read.record.pipeline["matcher"]), float(read.record.pipeline["radius_um"])
    tried = []
    for gate in candidate_thresholds(val.detector, val.near):
        curve_of = partial(_curve, val, frames.val, rule, _kept(val, gate))
        fuser = _fitted(read, gate, curve_of, by_ap)
        on_val = curve_of(fuser.fuse(*_scores(val, _kept(val, gate))))
        tried.append((_quality(on_val, by_ap), np.inf if gate is None else -gate, gate, fuser, on_val))
    _, _, gate, fuser, on_val = max(tried, key=lambda each: each[:2])
    kept = _kept(read.test, gate)
    on_test = _curve(read.test, frames.test, rule, kept, fuser.fuse(*_scores(read.test, kept)))
    threshold = best_point(on_val).threshold
    last = -1 if threshold is None else int((on_test.threshold >= threshold).sum()) - 1
    f1 = float(on_test.ratio("f1")[last]) if last >= 0 else 0.0
    return [gate or 0.0, fuser.chosen()["w"], f1, on_test.average_precision() or 0.0]


def _fitted(read: Recomputation, gate: float | None, curve_of: Any, by_ap: bool) -> Linear:
    assert read.val is not None
    cls = FUSERS[read.record.combination["fuser"]]
    options = {k: v for k, v in read.record.plugins["fuser"].options.items() if k in cls.Options.model_fields}
    fuser, kept = cls(cls.Options(**options)), _kept(read.val, gate)

    def quality(scores: Floats, average_precision: bool) -> float:
        return _quality(curve_of(scores), average_precision)

    by_f1 = partial(quality, average_precision=False)
    chosen = partial(quality, average_precision=by_ap)
    fuser.fit(Validation(*_scores(read.val, kept), read.val.near[kept], by_f1, choose_by=chosen))
    return fuser


def _quality(curve: Curve, by_ap: bool) -> float:
    return round((curve.average_precision() if by_ap else best_point(curve).f1) or 0.0, 12)


def _kept(stored: StoredDetections, gate: float | None) -> Any:
    return stored.detector > (-np.inf if gate is None else gate)


def _scores(stored: StoredDetections, kept: Any) -> tuple[Floats, Floats]:
    return stored.detector[kept], stored.verifier[kept]


def _curve(
    stored: StoredDetections, entries: Sequence[Any], rule: tuple[str, float], kept: Any, fused: Floats
) -> Curve:
    scores = np.full(len(stored), np.nan)
    scores[kept] = fused
    return sweep(stored.frames(entries, scores, rule[0]), *rule)


if __name__ == "__main__":
    main()
