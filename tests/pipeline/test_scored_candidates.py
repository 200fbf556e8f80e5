"""Candidates are fused frame by frame, so that the score of a test frame does not depend on the other test frames."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mitobench import discovery
from mitobench.api import Detections, Floats, Frame, Fuser, PluginError, Validation
from mitobench.pipeline import checks
from mitobench.pipeline.stages.scored_candidates import SplitCandidates, fused_scores, seen_by

COUNTS = (3, 0, 1, 8, 2)
KEYS = tuple(f"toy/{number}" for number in range(len(COUNTS)))
FRAMES = {
    key: Frame(key[4:], "toy", key[4:], "A", (0.25, 0.25), (900, 700), lambda: np.zeros((700, 900, 3), np.uint8))
    for key in KEYS
}
JOB: Any = SimpleNamespace(workspace=SimpleNamespace(item=lambda key: SimpleNamespace(frame=FRAMES[key])))


def candidates(verified: bool = True) -> SplitCandidates:
    rng = np.random.default_rng(3)
    found = [Detections.from_points(rng.uniform(0, 700, (n, 2)), rng.random(n)) for n in COUNTS]
    detector = np.concatenate([detections.score for detections in found])
    verifier = rng.random(len(detector)) if verified else None
    return SplitCandidates(KEYS, [], detector, verifier, dict(zip(KEYS, found, strict=True)))


class Recording(Fuser):
    """Keeps what it gets."""

    name, version, uses_candidates = "recording", "1", True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, list[float], list[float]]] = []

    def fuse(self, detector: Floats, verifier: Floats) -> Floats:
        raise AssertionError

    def fuse_candidates(self, detector: Floats, verifier: Floats, frames: Any, detections: Any) -> Floats:
        ((frame,), (found,)) = frames, detections
        assert found.score.tolist() == detector.tolist()
        self.seen.append((frame.key, detector.tolist(), verifier.tolist()))
        return detector + 10 * verifier


@pytest.mark.parametrize("verified", [True, False])
def test_a_fuser_gets_one_frame_at_a_time_and_only_frames_with_candidates(verified: bool) -> None:
    split, fuser = candidates(verified), Recording()
    keep = split.detector > 0.2
    keep[3] = False  # the only candidate of its frame
    fused = fused_scores(JOB, fuser, split, keep)
    verifier = split.detector if split.verifier is None else split.verifier
    assert [key for key, _, _ in fuser.seen] == ["toy/0", "toy/3", "toy/4"]
    assert [score for _, scores, _ in fuser.seen for score in scores] == split.detector[keep].tolist()
    assert [score for _, _, scores in fuser.seen for score in scores] == verifier[keep].tolist()
    np.testing.assert_allclose(fused, split.detector[keep] + 10 * verifier[keep], rtol=1e-6)


def test_no_candidates_have_no_scores() -> None:
    split = candidates()
    assert fused_scores(JOB, Recording(), split, np.zeros(len(split.detector), bool)).tolist() == []


def test_a_wrong_number_of_scores_is_reported_with_the_frame() -> None:
    class Short(Recording):
        def fuse_candidates(self, detector: Floats, *others: Any) -> Floats:
            return detector[1:]

    split = candidates()
    with pytest.raises(PluginError, match=r"on frame toy/0: scores has shape \(2,\); expected \(3,\)"):
        fused_scores(JOB, Short(), split, np.ones(len(split.detector), bool))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("linear", {}),
        ("linear", {"calibration": "platt"}),
        ("logit-linear", {}),
        ("detector-only", {}),
        ("verifier-only", {}),
        ("stacked", {}),
        ("stacked", {"model": "boosting"}),
    ],
)
def test_our_fusers_give_the_same_scores_for_all_frames_at_once(name: str, options: dict[str, str]) -> None:
    if not discovery.is_installed("fuser", name):
        pytest.skip("the package of networks is not installed")
    cls: Any = discovery.load("fuser", name)
    split, fuser = candidates(), cls(cls.Options(**options))
    assert split.verifier is not None
    keep = np.ones(len(split.detector), bool)
    seen = seen_by(JOB, fuser, split, keep)
    is_mitosis = split.verifier > 0.6
    fuser.fit(Validation(split.detector, split.verifier, is_mitosis, lambda s: float(s[is_mitosis].mean()), *seen))
    whole = checks.fused(fuser, None, split.detector, split.verifier, *seen)
    np.testing.assert_array_equal(fused_scores(JOB, fuser, split, keep), whole)
