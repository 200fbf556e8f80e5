"""`union` calibrates several detectors on validation and merges what they find of one cell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitobench import discovery
from mitobench.api import Candidates, Context, Detections, Detector, Frame, MitobenchError, Mitoses, PluginError, Sample
from mitobench.methods.union import Union, UnionOptions, merged

BLOBS, PROGRAM = "blobs", "external:true {image}"
MPP = (0.25, 0.25)


def load(spec: str) -> Any:
    return discovery.load("detector", spec)


class TestSpecs:
    def test_members_are_spelled_in_full_and_their_order_does_not_matter(self) -> None:
        one, other = load(f"union:{BLOBS}+{PROGRAM}"), load(f"union:external:true   {{image}} + {BLOBS}")
        assert one is other
        assert one.name == f"union:{BLOBS}+{PROGRAM}"
        assert [each.name for each in one.requires(one.Options())["detector"]] == [BLOBS, PROGRAM]

    def test_a_plus_in_a_member_is_quoted(self) -> None:
        cls = load(f"union:external:find 'a+b' {{image}}+{BLOBS}")
        assert [each.name for each in cls.requires(cls.Options())["detector"]] == [BLOBS, "external:find 'a+b' {image}"]

    @pytest.mark.parametrize(
        ("argument", "message"),
        [
            (
                "blobs",
                "has one member, blobs, and a union needs at least two.* for example union:blobs\\+frcnn, or use",
            ),
            ("frcnn", "for example union:frcnn\\+blobs, or use frcnn alone"),
            ("blobs+", "member 2 of 2 is empty. Name a detector there, or remove the \\+"),
            ("blobs++frcnn", "member 2 of 3 is empty"),
            ("+", "member 1 of 2 is empty"),
            ("blobs+blobs", "blobs is there twice"),
            ("external:true {image}+external:true  {image}", "external:true {image} is there twice"),
            (
                "blobs+union:blobs+external:true {image}",
                "cannot contain a union. .*: union:blobs\\+external:true {image}.",
            ),
            ("blobs+union:blobs+frcnn", "List all detectors in one: union:blobs\\+frcnn."),
            ("blobs+union", "cannot contain a union. Name at least two"),
            ("blobs+blob", "union:blobs\\+blob: its member blob: Unknown detector 'blob'. Did you mean blobs?"),
            ("blobs+external", "its member external: .*external needs an argument"),
            ("blobs+blobs:x", "blobs takes no argument"),
            ("blobs+external:true", "the command has no {image}"),
        ],
    )
    def test_a_wrong_list_of_members_is_refused(self, argument: str, message: str) -> None:
        with pytest.raises(MitobenchError, match=message):
            load(f"union:{argument}")


def points(*rows: tuple[float, float, float]) -> Detections:
    values = np.array(rows, dtype=float).reshape(-1, 3)
    return Detections.from_points(values[:, :2], values[:, 2])


LOWEST = (0.1, 0.2, 0.3)  # the score of each detector for a cell that it did not find


def merge(*found: Detections, radius: float = 3.75) -> Detections:
    return merged(found, [each.score for each in found], LOWEST[: len(found)], MPP, radius)


def mean(*scores: float) -> float:
    """Returns the score whose log odds are the mean of those of the scores."""
    odds = np.prod([score / (1 - score) for score in scores]) ** (1 / len(scores))
    return float(odds / (1 + odds))


class TestMerging:
    def test_detections_of_one_cell_become_one_with_the_mean_score_and_the_better_place(self) -> None:
        found = merge(points((100, 100, 0.8)), points((110, 100, 0.4)))
        assert found.xy.tolist() == [[100, 100]]
        assert found.score == pytest.approx([mean(0.8, 0.4)])

    def test_a_detector_that_did_not_find_the_cell_counts_with_its_lowest_score(self) -> None:
        found = merge(points((100, 100, 0.8), (300, 300, 0.9)), points((110, 100, 0.4)))
        assert found.xy.tolist() == [[100, 100], [300, 300]]
        assert found.score == pytest.approx([mean(0.8, 0.4), mean(0.9, 0.2)])

    def test_agreement_counts_for_more_than_one_certain_detector(self) -> None:
        agreed = (100, 100, 0.7)
        found = merge(points((300, 300, 0.9), agreed), points(agreed), points(agreed))
        assert found.xy.tolist() == [[100, 100], [300, 300]]

    def test_the_distance_is_in_um(self) -> None:
        near, far = points((100, 100, 0.8)), points((115.5, 100, 0.4))
        assert len(merge(near, far)) == 2
        assert len(merge(near, far, radius=4)) == 1
        assert len(merged([near, far], [near.score, far.score], LOWEST[:2], (0.2, 0.5), 3.75)) == 1

    def test_fusers_are_given_the_score_of_each_member(self) -> None:
        found = merge(points((100, 100, 0.4), (300, 300, 0.9)), points((110, 100, 0.8)))
        assert found.xy.tolist() == [[110, 100], [300, 300]]
        assert found.extra["members"] == pytest.approx(np.array([[0.4, 0.8], [0.9, 0.2]]))

    def test_a_score_below_the_lowest_on_validation_stays_as_it_is(self) -> None:
        found = merge(points((100, 100, 0.05)), points((110, 100, 0.4)))
        assert found.score == pytest.approx([mean(0.05, 0.4)])

    def test_two_detections_of_one_detector_count_once(self) -> None:
        found = merge(points((100, 100, 0.8), (104, 100, 0.6)), points())
        assert found.score == pytest.approx([mean(0.8, 0.2)])

    def test_a_chain_is_not_one_cell(self) -> None:
        found = merge(points((100, 100, 0.9), (124, 100, 0.7)), points((112, 100, 0.8)))
        assert found.xy.tolist() == [[100, 100], [124, 100]]

    def test_the_order_of_equal_detections_does_not_matter(self) -> None:
        one, other = points((100, 100, 0.5), (108, 100, 0.5)), points((108, 100, 0.5), (100, 100, 0.5))
        np.testing.assert_array_equal(merge(one, points()).xy, merge(other, points()).xy)

    def test_nothing_and_nothing_is_nothing(self) -> None:
        assert len(merge(points(), points())) == 0


@dataclass
class Fake(Detector):
    """Returns the same detections on every frame."""

    found: Detections
    name: str = "fake"  # type: ignore[misc]
    options: Any = field(default_factory=Detector.Options)

    def predict(self, frame: Frame) -> Detections:
        return self.found


def fit(
    frame: Frame, members: Sequence[Detector], val: int = 1, radius_um: float = 7.5, **options: Any
) -> tuple[Any, Context]:
    def label(sample: Sample, found: Detections) -> Candidates:
        near = np.linalg.norm(found.xy - [64, 64], axis=1) < 10
        return Candidates(found.xy, found.boxes, found.score, near)

    union = load(f"union:{BLOBS}+{PROGRAM}")
    plugin = union(union.Options(**options))
    given = {"upstream": {"detector": tuple(members)}, "label": label, "radius_um": lambda frame: radius_um}
    context = Context(0, "cpu", Path(), **given)  # type: ignore[arg-type]
    samples = [Sample(frame, Mitoses(np.array([[64.0, 64.0]])))] * val
    plugin.fit([], samples, context)
    return plugin, context


class TestFit:
    def test_scores_of_different_scales_become_comparable(self, frame: Frame) -> None:
        """One member's scores are all near 1, the other's all near 0: alone, the first would decide everything."""
        proud = Fake(points((64, 64, 0.99), (20, 20, 0.98), (30, 90, 0.97), (90, 30, 0.96)))
        modest = Fake(points((64, 64, 0.03), (100, 100, 0.02), (30, 30, 0.01), (90, 90, 0.005)))
        plugin, context = fit(frame, [proud, modest])
        found = plugin.predict(frame)
        assert found.xy[0].tolist() == [64, 64]
        assert found.score[0] > 1.5 * found.score[1]
        others = {tuple(xy): score for xy, score in zip(found.xy.tolist(), found.score, strict=True)}
        assert others[20, 20] == pytest.approx(others[100, 100], abs=0.25)
        assert set(context.training_info["calibration"]) == {BLOBS, PROGRAM}

    def test_further_hits_of_one_mitosis_do_not_change_the_calibration(self, frame: Frame) -> None:
        """A detector that finds a mitosis several times, with scores down to its lowest, is calibrated alike."""
        others = [(20, 20, 0.3), (30, 90, 0.25), (90, 30, 0.2), (100, 100, 0.1)]
        once = Fake(points((64, 64, 0.9), *others))
        often = Fake(points((64, 64, 0.9), *((64 + i, 66, 0.02 * i) for i in range(1, 8)), *others))
        one, other = (fit(frame, [member, once], val=3)[0].calibrations[0] for member in (once, often))
        assert other == replace(one, middle=other.middle, lowest=other.lowest)
        assert other(np.array([0.9, 0.3])) == pytest.approx(one(np.array([0.9, 0.3])))

    def test_without_calibration_scores_keep_their_values(self, frame: Frame) -> None:
        plugin, _ = fit(frame, [Fake(points((64, 64, 0.8))), Fake(points((64, 64, 0.4)))], calibration="none")
        assert plugin.predict(frame).score == pytest.approx([mean(0.8, 0.4)])

    @pytest.mark.parametrize("val", [0, 1])
    def test_validation_may_be_empty_or_without_a_detection(self, frame: Frame, val: int) -> None:
        plugin, _ = fit(frame, [Fake(points()), Fake(points())], val)
        assert len(plugin.predict(frame)) == 0

    def test_a_member_that_returns_nan_is_named(self, frame: Frame) -> None:
        with pytest.raises(PluginError, match=r"Detector 'fake' on frame toy/f: predict\(\) must return finite"):
            fit(frame, [Fake(points((1, 1, np.nan))), Fake(points())])

    @pytest.mark.parametrize(("radius_um", "cells"), [(7.5, 2), (8.2, 1)])
    def test_one_cell_is_half_the_radius_of_the_validation_frames_data_set(
        self, frame: Frame, radius_um: float, cells: int
    ) -> None:
        """The two are 4 um apart."""
        members = [Fake(points((64, 64, 0.8))), Fake(points((64 + 4 / frame.mpp[0], 64, 0.4)))]
        plugin, _ = fit(frame, members, radius_um=radius_um, distance_um=0)
        assert len(plugin.predict(frame)) == cells
        plugin, _ = fit(frame, members, radius_um=radius_um, merge_um=5.0, distance_um=0)
        assert len(plugin.predict(frame)) == 1

    def test_detections_near_a_better_one_that_are_not_merged_with_it_are_dropped(self, frame: Frame) -> None:
        """They are 4 um apart, and cells are merged within 3.75 um."""
        members = [Fake(points((64, 64, 0.8))), Fake(points((64 + 4 / frame.mpp[0], 64, 0.4)))]
        plugin, _ = fit(frame, members, calibration="none")
        assert plugin.predict(frame).xy.tolist() == [[64, 64]]


class TestSaving:
    @pytest.fixture
    def saved(self, frame: Frame, tmp_path: Path) -> tuple[Any, Path]:
        script = tmp_path / "answer.sh"
        script.write_text("#!/bin/sh\necho x,y,score; echo 64,64,0.5\n")
        script.chmod(0o755)
        spec = f"union:{BLOBS}+external:{script} {{image}}"
        cls = load(spec)
        members = [load(each.name)() for each in cls.requires(cls.Options())["detector"]]
        plugin = cls()
        label = lambda sample, found: Candidates(found.xy, found.boxes, found.score, found.score > 0)  # noqa: E731
        upstream = {"detector": tuple(members)}
        context = Context(0, "cpu", tmp_path, upstream=upstream, label=label, radius_um=lambda frame: 6.0)
        plugin.fit([], [Sample(frame, Mitoses(np.zeros((0, 2))))], context)
        folder = tmp_path / "saved"
        folder.mkdir()
        plugin.save(folder)
        return plugin, folder

    def test_the_files_of_members_travel_with_it(self, saved: tuple[Any, Path], frame: Frame) -> None:
        plugin, folder = saved
        before = plugin.predict(frame)
        assert plugin.half_radius_um == 3.0
        next(folder.parent.glob("answer.sh")).unlink()
        again = type(plugin)()
        again.load(folder)
        np.testing.assert_array_equal(again.predict(frame).score, before.score)
        assert again.half_radius_um == 3.0
        assert before.xy.tolist() == [[64, 64]]
        assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".json", ".safetensors"}

    @pytest.mark.parametrize(
        "change",
        [
            lambda state: state["members"].pop(),
            lambda state: state["members"].reverse(),
            lambda state: state["members"][0].update(name="external:touch x {image}"),
            lambda state: state["members"][1].update(options={"command": "touch x {image}"}),
            lambda state: state["members"][1].update(files={"words.0": "../../x"}),
            lambda state: state["members"][1].update(files={}),
            lambda state: state["members"][0].pop("calibration"),
            lambda state: state["members"][0]["calibration"].update(more=1),
            lambda state: state["members"][0]["calibration"].pop("lowest"),
            lambda state: state["members"][0]["calibration"].update(lowest="x"),
            lambda state: state["members"][0]["calibration"].update(slope=None),
            lambda state: state["members"][0]["calibration"].update(middle=[1]),
            lambda state: state["members"][0]["calibration"].update(probabilities=2),
            lambda state: state.pop("half_radius_um"),
            lambda state: state.update(half_radius_um=-1),
            lambda state: state.update(half_radius_um="near"),
        ],
    )
    def test_changed_files_are_refused(self, saved: tuple[Any, Path], change: Any) -> None:
        plugin, folder = saved
        state = json.loads((folder / "members.json").read_text())
        change(state)
        (folder / "members.json").write_text(json.dumps(state))
        with pytest.raises(PluginError, match=r"members\.json: was not written by union:"):
            type(plugin)().load(folder)


def test_it_learns_without_boxes_of_its_own_and_merging_reuses_the_fit() -> None:
    assert Union.learns()
    assert not Union.uses_boxes
    assert Union.inference_options == ("merge_um", "distance_um")
    assert UnionOptions().merge_um is None
