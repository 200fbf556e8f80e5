"""Scores one model's candidates with the verifiers of other models, on MITOS 2012 by the official split.

    python benchmarks/two_models.py --detector MODEL --verifier MODEL [MODEL ...] --data DATA [--views 4]

Several verifiers count as one, by the mean of their logits. The weight of both scores (of their logits) has the best
average precision on the validation frames, the threshold the best F1 there. Prints a row for the detector alone and one
with the verifiers: F1, AP, recall of the best 50 candidates an HPF (on average), and CPU seconds a frame.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from common import machine, table
from scipy.special import expit

from mitobench import compute, datasets
from mitobench.api import Detections, Floats, Frame, Verifier
from mitobench.datasets import splits
from mitobench.datasets.dataset import Item
from mitobench.evaluate import curve, metrics, operating_point
from mitobench.evaluate.curve import Curve
from mitobench.methods.calibration import logits
from mitobench.model import Model
from mitobench.model import card as cards

WEIGHTS = np.linspace(0, 1, 21)  # of the detector
EPS = 1e-6
AN_HPF = 50  # candidates whose recall is shown
MATCHER, RADIUS_UM = "evalutils", 5.0
Scored = Mapping[str, tuple[Detections, Floats]]  # candidates of a frame, and the verifier's scores [N]


def main() -> None:
    """Prints both rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", required=True, help="name or folder of the model with the detector")
    parser.add_argument("--verifier", nargs="+", default=["bundled"], help="models with the verifiers, as --detector")
    parser.add_argument("--data", type=Path, required=True, help="folder with MITOS 2012")
    parser.add_argument("--views", type=int, help="views of the detector, in place of its own number")
    parser.add_argument("--candidates", type=int, help="the best of a frame that are scored again; default: all")
    arguments = parser.parse_args()
    compute.set_threads(1)
    finder, *judges = (Model.load(cards.find(name)) for name in (arguments.detector, *arguments.verifier))
    verifiers = [judge.verifier for judge in judges if judge.verifier is not None]
    if len(verifiers) < len(judges):
        parser.error(f"--verifier {' '.join(arguments.verifier)}: one of them has no verifier.")
    if arguments.views:
        if not hasattr(finder.detector.options, "tta_views") or "detector" in (finder.card.onnx or ()):
            parser.error(f"--views: the detector of {arguments.detector} has no views, or the packed ones.")
        finder.detector.options = finder.detector.options.model_copy(update={"tta_views": arguments.views})
    dataset = datasets.load("mitos2012", arguments.data).select(["A"])
    split = splits.assign(splits.load_split("mitos2012", "official"), dataset)
    scored: dict[str, Scored] = {}
    for part in ("val", "test"):
        frames = {id: dataset.items[id].frame for id in split.parts[part]}
        started = time.process_time()
        found = {id: finder.detector.predict(frame)[: arguments.candidates] for id, frame in frames.items()}
        searched = time.process_time()
        scored[part] = {id: (of, _mean_score(verifiers, frames[id], of)) for id, of in found.items()}
        alone, both = ((end - started) / len(frames) for end in (searched, time.process_time()))
    best = max(WEIGHTS, key=lambda w: _curve(scored["val"], dataset.items, w).average_precision() or 0.0)
    print(machine())
    kinds = (("detector alone", 1.0, alone), ("with the verifiers", best, both))
    rows = [[*_row(name, w, scored, dataset.items), f"{seconds:.1f}"] for name, w, seconds in kinds]
    recall = f"recall of {AN_HPF} an HPF"
    print(table(["", "weight of the detector", "F1", "AP", "oracle F1", "AP on validation", recall, "CPU s"], rows))


def _mean_score(verifiers: Sequence[Verifier], frame: Frame, found: Detections) -> Floats:
    mean: Floats = expit(np.mean([logits(verifier.score(frame, found), EPS) for verifier in verifiers], axis=0))
    return mean


def _curve(frames: Scored, items: Mapping[str, Item], w: float) -> Curve:
    fused = {
        id: Detections.from_points(found.xy, expit(w * logits(found.score, EPS) + (1 - w) * logits(verified, EPS)))
        for id, (found, verified) in frames.items()
    }
    return curve.sweep(
        metrics.over_split([(items[id].frame, items[id].mitoses) for id in fused], fused), MATCHER, RADIUS_UM
    )


def _row(name: str, w: float, scored: Mapping[str, Scored], items: Mapping[str, Item]) -> list[str]:
    val, test = (_curve(scored[part], items, w) for part in ("val", "test"))
    threshold = operating_point.best_point(val).threshold
    kept = -1 if threshold is None else int((test.threshold >= threshold).sum()) - 1
    f1 = test.ratio("f1")[kept] if kept >= 0 else 0.0
    few = test.ratio("recall")[test.tp + test.fp <= AN_HPF * test.n_frames].max(initial=0.0)
    values = [w, f1, test.average_precision(), test.best_f1(), val.average_precision(), few]
    return [name, *("–" if value is None else f"{value:.3f}" for value in values)]


if __name__ == "__main__":
    main()
