"""`--part val` scores combinations without a test frame, and `--sweep` ranks settings by their validation F1."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mitobench import validation
from mitobench.api import Frame
from mitobench.benchmark import Benchmark, Grid
from mitobench.errors import MitobenchError
from mitobench.pipeline.overrides import Override
from mitobench.results import record
from mitobench.validation import swept

ROLES = {"estimator": ["toy-boxes"], "detector": ["toy-dark"], "verifier": ["toy-mean"], "fuser": ["toy-sum"]}


@pytest.fixture
def prepare(toys: Any, small_data: Path, tmp_path: Path) -> Callable[..., Benchmark]:
    def prepare(*sweeps: str, roles: Mapping[str, list[str]] = {}, **options: Any) -> Benchmark:
        profile = tmp_path / "toys.toml"
        profile.write_text('title = "toys"\n')
        settings: dict[str, Any] = {"part": "val", "datasets": ["synthetic"], **options}
        grid = Grid({**ROLES, **roles})
        return Benchmark.prepare(
            swept(grid, sweeps) if sweeps else [grid],
            data=small_data,
            device="cpu",
            profile=str(profile),
            store=tmp_path / "store",
            **settings,
        )

    return prepare


@pytest.mark.slow
class TestPartVal:
    def test_no_test_frame_is_read_and_none_can_be(
        self, prepare: Callable[..., Benchmark], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read: set[str] = set()
        original = Frame.read

        def recorded(frame: Frame) -> Any:
            read.add(frame.key)
            return original(frame)

        monkeypatch.setattr(Frame, "read", recorded)
        full = prepare(part="test").workspace
        test = set(full.part(["synthetic"], "test"))
        benchmark = prepare()
        validation.measure([benchmark])
        assert test
        assert read
        assert not read & test
        assert not any(test & set(keys) for s in benchmark.plan.stages.values() for keys in s.frames.values())
        for key in test:
            with pytest.raises(KeyError):
                benchmark.workspace.item(key)

    def test_a_full_run_reuses_all_of_its_stages(self, prepare: Callable[..., Benchmark]) -> None:
        benchmark, full = prepare(), prepare(part="test")
        assert set(benchmark.plan.stages) < set(full.plan.stages)
        validation.measure([benchmark])
        cached = {stage.key for stage in full.plan.stages.values() if full.store.has(stage.kind, stage.key)}
        assert cached == set(benchmark.plan.stages)

    def test_folds_are_those_of_a_full_run(self, prepare: Callable[..., Benchmark]) -> None:
        sets = ["pipeline.candidates=out-of-fold(2)"]
        assert set(prepare(sets=sets).plan.stages) < set(prepare(sets=sets, part="test").plan.stages)

    def test_the_scores_are_those_that_a_record_has(self, prepare: Callable[..., Benchmark], tmp_path: Path) -> None:
        (row,) = validation.measure([prepare()])
        full = prepare(part="test")
        full.run(tmp_path / "out")
        scores = full.records[0][1].validation
        assert scores is not None
        (seed,) = row.seeds
        assert (seed.f1, seed.precision, seed.recall) == (scores.f1, scores.precision, scores.recall)
        assert (seed.threshold, seed.average_precision) == (scores.threshold, scores.average_precision)
        assert seed.f1 is not None

    def test_a_failed_combination_has_a_reason_and_the_others_scores(self, prepare: Callable[..., Benchmark]) -> None:
        rows = validation.measure([prepare(roles={"detector": ["toy-fails", "toy-dark", "toy-broken"]})])
        assert rows[0].plugins["detector"] == "toy-dark"
        reasons = {row.plugins["detector"]: row.reasons for row in rows}
        assert "fails on purpose" in reasons["toy-fails"][0]
        assert "is broken" in reasons["toy-broken"][0]
        assert not reasons["toy-dark"]

    def test_seeds_have_a_mean_and_a_spread(self, prepare: Callable[..., Benchmark]) -> None:
        (row,) = validation.measure([prepare(seeds=[3, 4])])
        assert [seed.seed for seed in row.seeds] == [3, 4]
        values = [seed.f1 for seed in row.seeds if seed.f1 is not None]
        assert row.mean("f1") == pytest.approx(sum(values) / 2)
        assert row.spread == (min(values), max(values))

    def test_its_file_is_refused_as_a_record(self, prepare: Callable[..., Benchmark], tmp_path: Path) -> None:
        benchmark = prepare()
        path = validation.write(tmp_path / "out", benchmark, validation.measure([benchmark]))
        (row,) = json.loads(path.read_text())["rows"]
        assert row["plugins"]["detector"] == "toy-dark"
        assert row["average_precision"] == row["seeds"][0]["average_precision"] > 0
        with pytest.raises(MitobenchError, match="not a record: no test frame was scored"):
            record.read(path)


@pytest.mark.slow
class TestSweep:
    def test_settings_are_ranked_by_validation_f1(self, prepare: Callable[..., Benchmark]) -> None:
        rows = validation.measure([prepare("detector.most=1,40")])
        assert {row.sets for row in rows} == {("detector.most=1",), ("detector.most=40",)}
        found = [row.mean("f1") for row in rows]
        assert None not in found
        assert found == sorted(found, key=lambda f1: -(f1 or 0))
        assert found[0] != found[1], "a test of the order needs two different scores"
        (best,) = validation.best(rows)
        assert best.sets == rows[0].sets
        assert f"--set {rows[0].sets[0]}" in validation.arguments(best)

    def test_several_are_a_full_grid(self, prepare: Callable[..., Benchmark]) -> None:
        rows = validation.measure([prepare("detector.most=2,40", "pipeline.candidate_threshold=0.3,null")])
        assert len({row.sets for row in rows}) == len(rows) == 4

    def test_a_combination_without_the_option_appears_once(self, prepare: Callable[..., Benchmark]) -> None:
        rows = validation.measure([prepare("detector.shrink=1,2", roles={"detector": ["toy-dark", "toy-child"]})])
        assert sorted((row.plugins["detector"], len(row.sets)) for row in rows)[:1] == [("toy-child", 1)]
        assert len(rows) == 4, "toy-child starts from toy-dark, which has the option"

    def test_stages_without_the_option_run_once(self, prepare: Callable[..., Benchmark]) -> None:
        kinds = [stage.kind for stage in prepare("pipeline.candidate_threshold=0.3,0.4").plan.stages.values()]
        assert kinds.count("fit-detector") == kinds.count("fit-verifier") == 1
        assert kinds.count("fusion") == 2

    def test_an_unknown_option_is_an_error_as_for_set(self, prepare: Callable[..., Benchmark]) -> None:
        with pytest.raises(MitobenchError, match=r"--sweep detector\.mosst=1: no detector of this run has an option"):
            prepare("detector.mosst=1,2")

    def test_a_value_of_the_wrong_type_is_named(self, prepare: Callable[..., Benchmark]) -> None:
        with pytest.raises(MitobenchError, match=r"--sweep detector\.most=many: .*valid integer"):
            prepare("detector.most=3,many")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("detector.lr=1e-4,3e-4", [1e-4, 3e-4]),
        ("detector.blobs.radii=1,2,2", [1, 2]),
        ("verifier.steps=[1,2],[3]", [[1, 2], [3]]),
        ("verifier.flip=1,true", [1, True]),
        ('fuser.calibration="none","platt"', ["none", "platt"]),
        ('pipeline.candidate_threshold={"a": 1, "b": 2},validation', [{"a": 1, "b": 2}, "validation"]),
        ("detector.toy:a.b.most=1", [1]),
    ],
)
def test_values_are_parsed_like_those_of_set(text: str, values: list[Any]) -> None:
    grids = swept(Grid({}, ["verifier.tile=3"]), [text])
    found = [grid.sets[-1] for grid in grids]
    assert [override.value for override in found if isinstance(override, Override)] == values
    assert all(grid.sets[0] == "verifier.tile=3" for grid in grids)


@pytest.mark.parametrize(
    ("sweeps", "message"),
    [
        (["detector.lr"], "the value is missing"),
        (["detector.lr="], "a value is missing"),
        (["detector.lr=1,,2"], "a value is missing"),
        (["detectr.lr=1,2"], "'detectr' is not a role"),
        (["detector.steps=[1,2"], "does not end"),
        (['detector.mode="a,b'], "does not end"),
        (["detector.lr=1", "detector.lr=2"], "is given twice"),
        (["detector.lr=1e-1,0.1,0.10"], "1e-1 and 0.1 are the same value. Give it once"),
        (["detector.lr=2,1,1.0"], "1 and 1.0 are the same value"),
        (["detector.steps=[1, 2],[1,2]"], r"\[1, 2\] and \[1,2\] are the same value"),
        (["detector.a=" + ",".join(map(str, range(50))), "detector.b=" + ",".join(map(str, range(50)))], "2,500"),
    ],
)
def test_wrong_sweeps_are_refused(sweeps: list[str], message: str) -> None:
    with pytest.raises(MitobenchError, match=message):
        swept(Grid({}), sweeps)


class TestCommand:
    def test_it_prints_a_table_and_the_best_setting(
        self, toys: Any, mitobench: Callable[..., Any], small_data: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "toys.toml").write_text('title = "toys"\n')
        arguments = ["--estimator", "toy-boxes", "--detector", "toy-dark", "--verifier", "none", "--fuser", "toy-sum"]
        arguments += ["--data", small_data, "--dataset", "synthetic", "--profile", tmp_path / "toys.toml"]
        arguments += ["--store", tmp_path / "store", "--out", tmp_path / "out", "--device", "cpu"]
        done = mitobench("run", *arguments, "--sweep", "detector.most=1,40")
        assert done.code == 0, done.err
        assert "Best on validation of synthetic:" in done.out
        assert "--set detector.most=" in done.out
        assert not (tmp_path / "out" / "records").exists()
        assert (tmp_path / "out" / "validation.json").is_file()
        refused = mitobench("leaderboard", "add", tmp_path / "out" / "validation.json", "--folder", tmp_path)
        assert refused.code == 2, "there is no leaderboard yet"

    def test_a_sweep_cannot_go_on_to_the_test_frames(self, mitobench: Callable[..., Any]) -> None:
        done = mitobench("run", "--sweep", "detector.lr=1,2", "--part", "test")
        assert done.code == 2
        assert "cannot go with --part test" in done.err

    def test_an_unknown_part_is_refused(self, mitobench: Callable[..., Any]) -> None:
        assert mitobench("run", "--part", "train").code == 2
