"""Embeddings are stages of their own: computed once for all seeds and for all options of the head, and packed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitobench import contract
from mitobench.api import Detections
from mitobench.benchmark import Benchmark, Grid
from mitobench.contract.subject import subject
from mitobench.errors import MitobenchError
from mitobench.model import Model, pack
from mitobench.pipeline import arrays
from mitobench.pipeline.executors import ProgressListener, StageResult
from mitobench.pipeline.stages.stage import Stage
from mitobench.results import check
from mitobench.results.record import read_detections

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toys")]

ROLES = {"estimator": ["toy-boxes"], "detector": ["toy-boxless"], "verifier": ["toy-probe"], "fuser": ["toy-sum"]}


class Ran(ProgressListener):
    """Keeps the stages that ran."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []

    def finished(self, result: StageResult) -> None:
        assert result.output, result.reason
        if not result.cached:
            self.stages.append(result.stage)

    def count(self, kind: str) -> int:
        return sum(stage.kind == kind for stage in self.stages)


@pytest.fixture
def prepare(small_data: Path, tmp_path: Path) -> Any:
    profile = tmp_path / "toys.toml"
    profile.write_text('title = "toys"\n')

    def prepare(*sets: str, grids: Any = None, **options: Any) -> Benchmark:
        return Benchmark.prepare(
            grids or [Grid(ROLES)],
            **{"data": small_data, "datasets": ["synthetic"], "profile": str(profile), "device": "cpu", **options},
            sets=list(sets),
            store=tmp_path / "store",
        )

    return prepare


def keys(benchmark: Benchmark, kind: str) -> set[str]:
    return {stage.key for stage in benchmark.plan.stages.values() if stage.kind == kind}


def test_two_probes_and_two_seeds_share_one_encoder_and_its_embeddings(prepare: Any, tmp_path: Path) -> None:
    heads = [Grid(ROLES), Grid(ROLES, ["verifier.steepness=3"])]
    benchmark, ran = prepare("detector.most=20", grids=heads, seeds=[0, 1]), Ran()
    benchmark.run(tmp_path / "out", ran)
    assert len(benchmark.records) == 4
    assert ran.count("fit-verifier") == 4
    assert ran.count("encoder") == 1
    # the detector of each seed has candidates of its own; annotated points are the same for all
    assert ran.count("embeddings") == 1 + 2 * 3
    parts = {str(stage.settings["part"]) for stage in ran.stages if stage.kind == "embeddings"}
    assert parts == {"annotated", "train", "val", "test"}


def test_the_seed_alone_changes_no_embedding_where_the_detector_has_none(prepare: Any) -> None:
    roles = {**ROLES, "detector": ["blobs"]}
    one, two = (prepare(grids=[Grid(roles)], seeds=seeds) for seeds in ([0], [0, 1, 2]))
    assert keys(one, "embeddings") == keys(two, "embeddings")
    assert len(keys(two, "fit-verifier")) == 3


@pytest.mark.parametrize(
    ("option", "encoder", "embeddings"),
    [("steepness=3", False, False), ("offset=2", False, True), ("shade=2", True, True)],
)
def test_an_option_changes_the_stages_that_read_it(prepare: Any, option: str, encoder: bool, embeddings: bool) -> None:
    before, after = prepare(), prepare(f"verifier.{option}")
    assert (keys(before, "encoder") != keys(after, "encoder")) is encoder
    assert (keys(before, "embeddings") != keys(after, "embeddings")) is embeddings
    assert keys(before, "verifier-scores") != keys(after, "verifier-scores")


def test_the_content_of_the_weights_is_in_the_keys_and_not_their_path(prepare: Any, tmp_path: Path) -> None:
    one, copy = tmp_path / "a" / "weights.txt", tmp_path / "b" / "weights.txt"
    for path in (one, copy):
        path.parent.mkdir()
        path.write_text("1.5")
    before, moved = (prepare(f"verifier.pretrained={path}") for path in (one, copy))
    assert before.plan.stages.keys() == moved.plan.stages.keys()
    copy.write_text("2.5")
    assert not keys(before, "embeddings") & keys(prepare(f"verifier.pretrained={copy}"), "embeddings")


def test_out_of_fold_candidates_are_embedded_fold_by_fold(prepare: Any, tmp_path: Path) -> None:
    benchmark, ran = prepare("pipeline.candidates=out-of-fold(2)"), Ran()
    benchmark.run(tmp_path / "out", ran)
    parts = {str(stage.settings["part"]) for stage in ran.stages if stage.kind == "embeddings"}
    assert parts == {"annotated", "fold 1", "fold 2", "val", "test"}


def test_a_fixed_candidate_threshold_scores_some_of_the_embedded(prepare: Any, tmp_path: Path) -> None:
    benchmark = prepare("pipeline.candidate_threshold=0.6")
    benchmark.run(tmp_path / "out", Ran())
    ((path, found),) = benchmark.records
    assert found.status == "ok"
    verifier = read_detections(path, found).verifier
    assert 0 < np.isfinite(verifier).sum() < len(verifier)


def test_the_record_agrees_with_itself_and_counts_the_time_of_embedding(prepare: Any, tmp_path: Path) -> None:
    benchmark = prepare()
    benchmark.run(tmp_path / "out", Ran())
    ((path, found),) = benchmark.records
    assert not check.check(path).problems
    assert {"encoder", "embeddings-val", "embeddings-test"} <= found.stages.keys()
    stored = benchmark.store.get("embeddings", found.stages["embeddings-test"])
    assert stored is not None
    seconds = json.loads((stored.folder / "seconds.json").read_text())
    assert found.run.seconds_a_frame is not None
    assert found.run.seconds_a_frame >= np.mean(list(seconds.values()))


def test_a_pack_brings_the_encoder_and_predicts_what_the_run_found(prepare: Any, tmp_path: Path) -> None:
    weights = tmp_path / "weights.txt"
    weights.write_text("1.5")
    benchmark = prepare(f"verifier.pretrained={weights}")
    benchmark.run(tmp_path / "out", Ran())
    ((path, found),) = benchmark.records
    weights.unlink()
    card = pack(path, tmp_path / "store", tmp_path / "model")
    assert "encoder/encoder.json" in card.files
    model = Model.load(tmp_path / "model")
    assert found.frames is not None
    key = found.frames.test[0].frame
    predicted = model.predict(benchmark.workspace.item(f"synthetic/{key}").frame)
    stored = read_detections(path, found)
    score = stored.score[stored.rows_of(key)]
    assert len(predicted.score)
    assert np.allclose(sorted(predicted.score), sorted(score[np.isfinite(score)]), atol=1e-5)


def test_a_store_without_the_encoder_packs_no_model(prepare: Any, tmp_path: Path) -> None:
    benchmark = prepare()
    benchmark.run(tmp_path / "out", Ran())
    ((path, found),) = benchmark.records
    benchmark.store.discard("encoder", found.stages["encoder"])
    with pytest.raises(MitobenchError, match="does not have stage encoder"):
        pack(path, tmp_path / "store", tmp_path / "model")


class TestFile:
    def test_frames_are_read_one_by_one_in_the_order_of_writing(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        frames = {key: rng.random((n, 3)).astype(np.float32) for key, n in (("d/b", 2), ("d/a", 0), ("e/ü", 5))}
        with arrays.writing_embeddings(tmp_path) as writer:
            for key, embedded in frames.items():
                writer.write(key, embedded)
        read = dict(arrays.read_embeddings(tmp_path))
        assert list(read) == list(frames)
        assert all(np.array_equal(read[key], frames[key]) for key in frames)

    def test_equal_content_gives_equal_bytes(self, tmp_path: Path) -> None:
        content = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            with arrays.writing_embeddings(tmp_path / name) as writer:
                writer.write("d/a", np.ones((2, 3), np.float32))
            content.append((tmp_path / name / "embeddings.npz").read_bytes())
        assert content[0] == content[1]


class TestContract:
    @pytest.fixture(autouse=True)
    def _fresh(self) -> Any:
        subject.cache_clear()
        yield
        subject.cache_clear()

    def test_a_probe_without_faults_passes_every_check(self) -> None:
        checks = contract.checks("verifier", "toy-probe")
        assert {"scores are those of stored embeddings", "the encoder is the same each time"} <= {
            each.title for each in checks
        }
        for each in checks:
            each()

    @pytest.mark.parametrize(
        ("method", "fault", "title", "message"),
        [
            ("embed", lambda self, frame, xy: np.zeros(len(xy)), "fits and returns valid results", "expected (4, D)"),
            (
                "embed",
                lambda self, frame, xy: np.full((len(xy), 2), np.nan),
                "fits and returns valid results",
                "NaN or infinite",
            ),
            (
                "score",
                lambda self, frame, found: found.score,
                "scores are those of stored embeddings",
                "score() differs from score_embedded()",
            ),
            (
                "write_encoder",
                lambda self, folder, description, weights: (folder / "encoder.json").write_text(
                    json.dumps(np.random.default_rng().random())
                ),
                "the encoder is the same each time",
                "differs from run to run",
            ),
        ],
    )
    def test_a_fault_is_found(
        self, monkeypatch: pytest.MonkeyPatch, method: str, fault: Any, title: str, message: str
    ) -> None:
        import mitobench_toys

        monkeypatch.setattr(mitobench_toys.ToyProbe, method, fault)
        failing = {each.title: each for each in contract.checks("verifier", "toy-probe")}[title]
        with pytest.raises(Exception, match=r"\(\)|finite|differs") as raised:
            failing()
        assert message in str(raised.value)


def test_scoring_is_embedding_then_the_head(small_data: Path) -> None:
    """What a packed model does is what the stages do one after the other."""
    import mitobench_toys

    probe, frame = mitobench_toys.ToyProbe(), contract.frames.train()[0].frame
    probe.weight = 2.0
    found = Detections.from_points([[30.0, 30.0], [60.0, 60.0]], [0.5, 0.6])
    assert np.array_equal(probe.score(frame, found), probe.score_embedded(found, probe.embed(frame, found.xy)))
