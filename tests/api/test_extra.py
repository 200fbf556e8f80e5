"""`Detections.kind` and `.extra`: what the harness accepts, keeps, and hands on to verifiers and fusers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mitobench.api import Candidates, Detections, Detector, Frame, Fuser, PluginError
from mitobench.contract import frames
from mitobench.model import Model
from mitobench.model.model import _moved
from mitobench.pipeline import arrays, checks
from mitobench.pipeline.stages.fitting import label

pytestmark = pytest.mark.slow

FRAME = frames.blank()


def detections(count: int = 3, **further: Any) -> Detections:
    xy = np.linspace(10, 90, 2 * count).reshape(-1, 2)
    given = {
        "kind": ["cell", "figure", "cell"][:count],
        "extra": {"embedding": np.arange(count * 4.0).reshape(count, 4), "votes": np.arange(count)},
        **further,
    }
    return Detections.from_points(xy, np.linspace(0.9, 0.1, count), **given)


def equal(one: Detections, other: Detections) -> bool:
    same_kind = (one.kind is None and other.kind is None) or np.array_equal(one.kind, other.kind)  # type: ignore[arg-type]
    same = same_kind and set(one.extra) == set(other.extra)
    return same and all(np.array_equal(values, other.extra[name]) for name, values in one.extra.items())


class Plugin(Detector):
    name, version = "toy", "1"

    def predict(self, frame: Frame) -> Detections:
        return detections()


class TestSelection:
    @pytest.mark.parametrize("keep", [np.array([True, False, True]), np.array([2, 0]), slice(1, 3)])
    def test_kind_and_extra_are_selected_with_the_detections(self, keep: Any) -> None:
        found = detections()[keep]
        assert found.kind is not None
        assert found.kind.tolist() == np.array(["cell", "figure", "cell"])[keep].tolist()
        assert found.extra["votes"].tolist() == np.arange(3)[keep].tolist()
        assert found.extra["embedding"].shape == (2, 4)

    def test_candidates_keep_them_with_their_labels(self) -> None:
        sample = frames.train()[0]
        found = label(detections(), sample.frame, sample.mitoses, 5.0)
        assert isinstance(found, Candidates)
        assert equal(found, detections())
        assert isinstance(found[[2]], Candidates)
        assert equal(found[[2]], detections()[[2]])
        assert not isinstance(found.unlabelled(), Candidates)
        assert equal(found.unlabelled(), detections())

    def test_without_them_nothing_changes(self) -> None:
        plain = Detections.from_boxes([[1, 2, 3, 4]], [0.5])
        assert plain.kind is None
        assert plain.extra == {}
        assert equal(plain[[0]], plain)
        assert Candidates(plain.xy, plain.boxes, plain.score, np.array([True])).kind is None

    def test_parts_of_an_image_move_positions_and_keep_the_rest(self) -> None:
        moved = _moved(detections(), (100, 50))
        assert equal(moved, detections())
        assert np.array_equal(moved.xy, detections().xy + np.array([100, 50]))


class TestJoining:
    def test_parts_are_concatenated(self) -> None:
        joined = Detections.joined([Detections.none(), detections(2), Detections.none(), detections(1)])
        assert joined.kind is not None
        assert joined.kind.tolist() == ["cell", "figure", "cell"]
        assert joined.extra["embedding"].shape == (3, 4)

    def test_nothing_joins_to_nothing(self) -> None:
        assert len(Detections.joined([])) == len(Detections.joined([Detections.none()])) == 0

    @pytest.mark.parametrize(
        "other",
        [{"kind": None}, {"kind": [1]}, {"extra": {}}, {"extra": {"embedding": np.zeros((1, 5)), "votes": [1]}}],
    )
    def test_parts_of_different_forms_are_refused(self, other: dict[str, Any]) -> None:
        with pytest.raises(PluginError, match="different `kind` or `extra`"):
            Detections.joined([detections(), detections(1, **other)])


class TestChecks:
    def test_numbers_become_float32_and_int64(self) -> None:
        found = checks.detections(
            Plugin(), FRAME, detections(extra={"a": np.float64([0.1, 2, 3]), "b": [True, False, True]})
        )
        assert found.extra["a"].dtype == np.float32
        assert found.extra["b"].dtype == np.int64
        assert found.kind is not None
        assert found.kind.dtype.kind == "U"
        numbered = checks.detections(Plugin(), FRAME, detections(kind=[0, 1, 2]))
        assert numbered.kind is not None
        assert numbered.kind.dtype == np.int64

    @pytest.mark.parametrize(
        ("further", "message"),
        [
            ({"kind": ["a", "b"]}, r"predict\(\).kind has shape \(2,\)"),
            ({"kind": [0.5, 1, 2]}, "expected whole numbers or texts"),
            ({"kind": ["x" * 65, "a", "b"]}, "65 characters"),
            ({"extra": {"a": np.zeros(2)}}, r"has shape \(2,\); its first number must be 3"),
            ({"extra": {"a": np.array(1.0)}}, "its first number must be 3"),
            ({"extra": {"a": [1, np.nan, 2]}}, "NaN or infinite"),
            ({"extra": {"a": [1, 1e300, 2]}}, "beyond float32"),
            ({"extra": {"a": ["x", "y", "z"]}}, "not numeric"),
            ({"extra": {"a": [1j, 2, 3]}}, "not numeric: it has complex numbers"),
            ({"extra": {"a b": np.zeros(3)}}, "expected letters, digits and _"),
            ({"extra": {"": np.zeros(3)}}, "expected letters, digits and _"),
            ({"extra": {"a": np.zeros((3, 5_000))}}, "5,000 values per detection; at most 4,096"),
            ({"extra": {f"a{i}": np.zeros(3) for i in range(33)}}, "33 arrays; at most 32"),
        ],
    )
    def test_what_is_wrong_is_named(self, further: dict[str, Any], message: str) -> None:
        with pytest.raises(PluginError, match=message):
            checks.detections(Plugin(), FRAME, detections(**further))

    @pytest.mark.parametrize(
        ("left", "score", "message"),
        [
            (0, 1.1e9, r"predict\(\)\.score contains 1\.1e\+09; .* at most 1,000,000,000\."),
            (-1e300, 1, r"predict\(\)\.boxes contains -1e\+300; .* at most 1,000,000\."),
        ],
    )
    def test_numbers_that_no_record_may_hold_are_named(self, left: float, score: float, message: str) -> None:
        def one(left: float, score: float) -> Detections:
            return Detections(np.ones((1, 2)), np.array([[left, 0, 2, 2.0]]), np.array([float(score)]))

        with pytest.raises(PluginError, match=message):
            checks.detections(Plugin(), FRAME, one(left, score))
        assert len(checks.detections(Plugin(), FRAME, one(-1e6, 1e9))) == 1
        with pytest.raises(PluginError, match=r"scores contains -2e\+09"):
            checks.scores(Plugin(), FRAME, [-2e9], 1)

    def test_a_verifier_without_a_sigmoid_is_named(self) -> None:
        assert checks.probabilities(Plugin(), FRAME, [0, 1, -1e-9, 1.0000001], 4).tolist() == [0, 1, 0, 1]
        for score in (-0.01, 1.001, 7):
            with pytest.raises(PluginError, match=rf"scores contain {score:g}; .*from 0 to 1. Apply a sigmoid"):
                checks.probabilities(Plugin(), FRAME, [0.5, score], 2)

    @pytest.mark.filterwarnings("ignore:overflow")
    def test_extra_must_be_a_mapping(self) -> None:
        found = Detections(np.zeros((0, 2)), np.zeros((0, 4)), np.zeros(0), extra=[1])  # type: ignore[arg-type]
        with pytest.raises(PluginError, match="expected arrays by name"):
            checks.detections(Plugin(), FRAME, found)


class TestStoring:
    def test_they_are_written_and_read(self, tmp_path: Path) -> None:
        checked = checks.detections(Plugin(), FRAME, detections())
        written = {"a/1": checked, "a/2": Detections.none(), "a/3": checked[[1]]}
        arrays.write_detections(tmp_path, written)
        read = arrays.read_detections(tmp_path)
        assert list(read) == list(written)
        assert equal(read["a/1"], checked)
        assert equal(read["a/3"], checked[[1]])
        assert len(read["a/2"]) == 0
        assert read["a/2"].extra["embedding"].shape == (0, 4)

    def test_plain_detections_are_stored_as_before(self, tmp_path: Path) -> None:
        arrays.write_detections(tmp_path, {"a/1": Detections.from_points([[1, 2]], [0.5])})
        with np.load(tmp_path / "detections.npz") as file:
            assert sorted(file.files) == ["counts", "keys", "rows"]
        assert arrays.read_detections(tmp_path)["a/1"].kind is None

    def test_no_frame_at_all(self, tmp_path: Path) -> None:
        arrays.write_detections(tmp_path, {})
        assert arrays.read_detections(tmp_path) == {}

    def test_frames_of_different_forms_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(PluginError, match="for every frame"):
            arrays.write_detections(tmp_path, {"a": detections(), "b": detections(extra={})})


PACKAGE = """
import json
import numpy as np
from mitobench.api import Detections, Detector, Fuser, Verifier

class Rich(Detector):
    name, version, uses_boxes = "rich", "1", False

    def predict(self, frame):
        xy = np.array([[20.0, 20.0], [60.0, 40.0], [100.0, 90.0]])
        shade = frame.read().mean(axis=2)[xy[:, 1].astype(int), xy[:, 0].astype(int)]
        return Detections.from_points(xy, [0.9, 0.5, 0.4], kind=["a", "b", "a"], extra={"shade": shade})

class ByShade(Verifier):
    name, version = "by-shade", "1"

    def fit(self, train, val, context):
        for sample in (*train, *val):
            assert sample.candidates.extra["shade"].shape == sample.candidates.is_mitosis.shape
            assert set(sample.candidates.kind) <= {"a", "b"}

    def score(self, frame, detections):
        return 1 - detections.extra["shade"] / 255

class BySeen(Fuser):
    name, version, uses_candidates = "by-seen", "1", True
    seen = ()

    def fit(self, validation):
        self.seen = [frame.key for frame in validation.frames]
        assert len(validation.detections) == len(validation.frames)
        assert sum(map(len, validation.detections)) == len(validation.detector)
        assert np.array_equal(np.concatenate([d.score for d in validation.detections]), validation.detector)

    def fuse(self, detector, verifier):
        raise AssertionError("fuse_candidates is called in its place")

    def fuse_candidates(self, detector, verifier, frames, detections):
        assert np.array_equal(np.concatenate([d.score for d in detections]), detector)
        kind = np.concatenate([d.kind for d in detections])
        return np.where(kind == "a", detector, verifier / 2)

    def chosen(self):
        return {"frames": list(self.seen)}
"""


def test_verifiers_folds_and_fusers_see_them_in_a_run(install: Any, small_data: Path, tmp_path: Path) -> None:
    from mitobench.benchmark import Benchmark, Grid
    from mitobench.results.check import check

    install(
        "rich-package",
        {
            "mitobench.detectors": {"rich": "rich_package:Rich"},
            "mitobench.verifiers": {"by-shade": "rich_package:ByShade"},
            "mitobench.fusers": {"by-seen": "rich_package:BySeen"},
            "mitobench.estimators": {"fixed": "mitobench.methods.fixed:Fixed"},
            "mitobench.datasets": {"synthetic": "mitobench.datasets.synthetic:Synthetic"},
        },
        {"rich_package.py": PACKAGE},
    )
    (tmp_path / "mine.toml").write_text('title = "mine"\n')
    roles = {"estimator": ["fixed"], "detector": ["rich"], "verifier": ["by-shade"], "fuser": ["by-seen"]}
    benchmark = Benchmark.prepare(
        [Grid(roles)],
        data=small_data,
        datasets=["synthetic"],
        device="cpu",
        profile=str(tmp_path / "mine.toml"),
        sets=["pipeline.candidates=out-of-fold(2)"],
        store=tmp_path / "store",
    )
    benchmark.run(tmp_path / "out")
    ((path, record),) = benchmark.records
    assert record.status == "ok", record.reason
    assert record.chosen is not None
    assert record.chosen.fuser["frames"] == list(benchmark.workspace.part(["synthetic"], "val"))
    assert check(path).problems == []


def test_a_packed_model_hands_them_to_its_fuser() -> None:
    class ByKind(Fuser):
        name, version, uses_candidates = "by-kind", "1", True

        def fuse(self, detector: Any, verifier: Any) -> Any:
            raise AssertionError("fuse_candidates is called in its place")

        def fuse_candidates(self, detector: Any, verifier: Any, frames: Any, detections: Any) -> Any:
            assert [frame.id for frame in frames] == [FRAME.id]
            (found,) = detections
            return np.where(found.kind == "figure", detector, 0)

    card: Any = SimpleNamespace(mpp=0.25, candidate_threshold=None, threshold=0.1)
    found = Model(card, Plugin(), None, ByKind()).predict(FRAME)
    assert found.score.tolist() == [0, 0.5, 0]
    assert found.is_mitosis.tolist() == [False, True, False]
    assert equal(found.detections, checks.detections(Plugin(), FRAME, detections()))


def test_the_default_of_a_fuser_uses_only_scores() -> None:
    class Sum(Fuser):
        name, version = "sum", "1"

        def fuse(self, detector: Any, verifier: Any) -> Any:
            return detector + verifier

    one = np.array([0.25])
    assert checks.fused(Sum(), None, one, one, [], []).tolist() == [0.5]
    assert Sum().fuse_candidates(one, one, [], []).tolist() == [0.5]
    assert Sum().cross_fitted() is None
    assert Sum.uses_candidates is False
