"""The evaluation of the MIDOG 2025 contest (track 1): reads its files and computes every number of its metrics.json."""

from mitobench.evaluate.midog25.files import (
    MITOSIS,
    NAMES,
    OTHER,
    RESULT_FILE,
    TruthCase,
    accepted,
    contest_json,
    points_mm,
    read_points,
    read_results,
    read_truth,
    score_files,
)
from mitobench.evaluate.midog25.metrics import Point, Result, contest_metrics, refusal

__all__ = [
    "MITOSIS",
    "NAMES",
    "OTHER",
    "RESULT_FILE",
    "Point",
    "Result",
    "TruthCase",
    "accepted",
    "contest_json",
    "contest_metrics",
    "points_mm",
    "read_points",
    "read_results",
    "read_truth",
    "refusal",
    "score_files",
]
