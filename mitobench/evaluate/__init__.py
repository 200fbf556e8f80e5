"""Scores predictions: matching in um, counts, operating point, curves, intervals. Depends on no plugin or data set."""

from mitobench.evaluate.boxes import BoxScores, score_boxes
from mitobench.evaluate.curve import FROC_UNIT, Curve, Sweep, sweep
from mitobench.evaluate.files import read_detections
from mitobench.evaluate.jackknife import Score
from mitobench.evaluate.matching import MATCHERS, Match, match
from mitobench.evaluate.metrics import Counts, FrameCounts, FramePrediction, count_frames, over_split, total
from mitobench.evaluate.operating_point import OperatingPoint, candidate_thresholds, choose_threshold
from mitobench.evaluate.stored import FrameEntry, StoredDetections
from mitobench.evaluate.summary import Metrics, evaluate
from mitobench.evaluate.uncertainty import Difference, Interval, coverage, interval, paired_difference

__all__ = [
    "FROC_UNIT",
    "MATCHERS",
    "BoxScores",
    "Counts",
    "Curve",
    "Difference",
    "FrameCounts",
    "FrameEntry",
    "FramePrediction",
    "Interval",
    "Match",
    "Metrics",
    "OperatingPoint",
    "Score",
    "StoredDetections",
    "Sweep",
    "candidate_thresholds",
    "choose_threshold",
    "count_frames",
    "coverage",
    "evaluate",
    "interval",
    "match",
    "over_split",
    "paired_difference",
    "read_detections",
    "score_boxes",
    "sweep",
    "total",
]
