"""A role may require several plugins: `union:` shares its members' fits with runs of these alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_runs

from mitobench import discovery
from mitobench.api import Requirement
from mitobench.benchmark import Benchmark, Grid
from mitobench.errors import MitobenchError
from mitobench.model import Model, pack
from mitobench.pipeline.executors import executor_of
from mitobench.pipeline.graph import Plan
from mitobench.results import record as records
from mitobench.results.check import check

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toys")]

UNION = "union:blobs+toy-dark"


@pytest.fixture
def prepare(small_data: Path, tmp_path: Path) -> Any:
    def prepare(*detectors: str, estimator: str = "toy-boxes", verifier: str = "none", **options: Any) -> Benchmark:
        (tmp_path / "toys.toml").write_text('title = "toys"\n')
        roles = {"estimator": [estimator], "detector": detectors, "verifier": [verifier], "fuser": ["toy-sum"]}
        settings = {"data": small_data, "datasets": ["synthetic"], "device": "cpu", "store": tmp_path / "store"}
        return Benchmark.prepare([Grid(roles)], **{"profile": str(tmp_path / "toys.toml"), **settings, **options})

    return prepare


def fits(plan: Plan) -> dict[str, Any]:
    return {s.plugin.name: s for s in plan.stages.values() if s.kind == "fit-detector" and s.plugin}


class TestPlan:
    def test_the_fit_of_a_member_is_the_one_of_its_own_run(self, prepare: Any) -> None:
        both = fits(prepare("toy-dark", UNION).plan)
        assert sorted(both) == ["toy-dark", UNION]
        assert both[UNION].upstream["requires-detector-2"].key == both["toy-dark"].key
        assert fits(prepare(UNION).plan)["toy-dark"].key == both["toy-dark"].key

    def test_the_order_of_members_does_not_matter(self, prepare: Any) -> None:
        assert list(prepare(UNION).plan.stages) == list(prepare("union:toy-dark+blobs").plan.stages)
        assert len(prepare(UNION, "union:toy-dark+blobs").plan.rows) == 1

    @pytest.mark.parametrize(
        ("option", "refitted"),
        [
            ("detector.blobs.floor=0.2", [UNION]),
            ("detector.toy-dark.most=9", [UNION]),
            ("detector.toy-dark.shrink=0.5", ["toy-dark", UNION]),
            ("detector.union.merge_um=2", []),
            ("detector.union.calibration=none", [UNION]),
        ],
    )
    def test_an_option_changes_the_fits_that_it_matters_to(
        self, prepare: Any, option: str, refitted: list[str]
    ) -> None:
        """Prediction alone reads `most`: the fit of toy-dark stays, and the calibration of its scores does not."""
        before, after = fits(prepare(UNION).plan), fits(prepare(UNION, sets=[option]).plan)
        assert [name for name in sorted(before) if before[name].key != after[name].key] == sorted(refitted)

    def test_an_option_of_all_detectors_reaches_the_members(self, prepare: Any) -> None:
        members = fits(prepare(UNION, sets=["detector.most=7"]).plan)[UNION].members
        assert members["requires-detector-2"].options["most"] == 7

    def test_an_option_that_no_member_has_is_an_error(self, prepare: Any) -> None:
        with pytest.raises(MitobenchError, match="no toy-dark of this run has an option 'mots'"):
            prepare(UNION, sets=["detector.toy-dark.mots=7"])

    def test_a_member_may_require_another_detector(self, prepare: Any) -> None:
        plan = prepare("union:blobs+toy-child", sets=["detector.toy-dark.shrink=0.5"]).plan
        assert sorted(fits(plan)) == ["toy-child", "toy-dark", "union:blobs+toy-child"]

    def test_members_that_use_no_boxes_give_one_row_for_all_estimators(self, prepare: Any) -> None:
        (row,) = prepare("union:blobs+toy-boxless").plan.rows
        assert row.combination.estimator == "-"
        assert prepare(UNION).plan.rows[0].combination.estimator == "toy-boxes"

    def test_folds_fit_the_members_again(self, prepare: Any) -> None:
        plan = prepare(UNION, verifier="toy-mean", sets=["pipeline.candidates=out-of-fold(2)"]).plan
        names = [s.plugin.name for s in plan.stages.values() if s.kind == "fit-detector" and s.plugin]
        assert sorted(names) == ["toy-dark"] * 3 + [UNION] * 3

    def test_a_broken_member_breaks_its_own_row_only(self, prepare: Any) -> None:
        problems = {
            row.combination.detector: row.problem for row in prepare("toy-dark", "union:blobs+toy-broken").plan.rows
        }
        assert problems["toy-dark"] is None
        assert problems["union:blobs+toy-broken"] is not None

    def test_an_unknown_member_is_an_error_with_the_nearest_names(self, prepare: Any) -> None:
        with pytest.raises(MitobenchError, match=r"Unknown detector 'toy-drak'\. Did you mean toy-dark"):
            prepare("union:toy-drak+blobs")


@pytest.fixture(scope="module")
def board(small_data: Path, toy_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of a union of a detector that learns nothing, one that requires another, and a program."""
    folder = tmp_path_factory.mktemp("board")
    program = folder / "answer.sh"
    program.write_text("#!/bin/sh\necho x,y,score; echo 20,30,0.4; echo 90,90,0.6\n")
    program.chmod(0o755)
    spec = f"union:blobs+toy-child+external:{program} {{image}}"
    sets = ["detector.blobs.floor=0.2", "detector.toy-child.most=9"]
    tiny_runs.board(small_data, folder, toy_environment, roles={"detector": [spec]}, seeds=[0], sets=sets)
    return folder


class TestRun:
    @pytest.fixture
    def path(self, board: Path) -> Path:
        return next((board / "records").glob("*.json"))

    def test_the_record_lists_every_member_with_its_options(self, path: Path) -> None:
        found = records.read(path)
        assert found.status == "ok", found.reason
        names = [where for where in found.plugins if where.startswith("detector ")]
        assert [where.partition(":")[0] for where in names] == [
            "detector requires toy-dark",
            "detector uses blobs",
            "detector uses external",
            "detector uses toy-child",
        ]
        assert found.plugins["detector uses blobs"].options["floor"] == 0.2
        assert found.plugins["detector uses toy-child"].options["most"] == 9
        assert check(path).problems == []

    def test_the_model_finds_what_the_run_found(
        self, board: Path, path: Path, small_data: Path, tmp_path: Path
    ) -> None:
        from mitobench import datasets

        pack(path, board / "store", tmp_path / "model")
        (board / "answer.sh").rename(board / "moved.sh")
        with pytest.raises(MitobenchError, match="--allow-external"):
            Model.load(tmp_path / "model")
        model = Model.load(tmp_path / "model", allow=["external"])
        stored = records.read_detections(path, records.read(path))
        items = datasets.load("synthetic", small_data).items
        for id in dict.fromkeys(stored.frame.tolist()):
            found = model.detector.predict(items[id].frame)
            rows = stored.rows_of(id)
            np.testing.assert_allclose(found.score, stored.detector[rows], rtol=1e-5)
        (board / "moved.sh").rename(board / "answer.sh")

    def test_a_contradiction_about_a_member_is_found(self, path: Path, tmp_path: Path) -> None:
        content = json.loads(path.read_text())
        content["plugins"]["detector uses blobs"]["options"]["floor"] = 0.3
        forged = tmp_path / path.name
        for file in path.parent.glob(f"{path.stem}.*"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
        forged.write_text(json.dumps(content))
        tiny_runs.reseal(forged, lambda content: None)
        assert any("detector uses blobs.options.floor" in problem for problem in check(forged).problems)


@pytest.mark.thorough
def test_processes_of_their_own_get_the_members(small_data: Path, tmp_path: Path) -> None:
    (tmp_path / "toys.toml").write_text('title = "toys"\n')
    roles = {"estimator": ["toy-boxes"], "detector": [UNION], "verifier": ["none"], "fuser": ["toy-sum"]}
    benchmark = Benchmark.prepare(
        [Grid(roles)],
        data=small_data,
        datasets=["synthetic"],
        device="cpu",
        store=tmp_path / "store",
        profile=str(tmp_path / "toys.toml"),
    )
    benchmark.run(tmp_path, executor=executor_of(jobs=2))
    ((_, found),) = benchmark.records
    assert found.status == "ok", found.reason


def test_a_single_requirement_must_learn(prepare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    child = discovery.load("detector", "toy-child")
    monkeypatch.setattr(child, "requires", lambda options: {"detector": Requirement("blobs")})
    (row,) = prepare("toy-child").plan.rows
    assert row.problem is not None
    assert "only a detector that learns can be required, or a sequence of detectors" in row.problem[1]
    monkeypatch.setattr(child, "requires", lambda options: {"detector": [Requirement("blobs")]})
    (row,) = prepare("toy-child").plan.rows
    assert row.problem is None
    assert [member.name for member in row.stages["detector"].members.values()] == ["blobs"]


@pytest.mark.parametrize("spec", [UNION, "union:blobs+toy-negative", "external:sh answer.sh {image}"])
def test_members_of_both_families_pass_the_checks(
    mitobench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "answer.sh").write_text("echo x,y,score; echo 20,30,0.4; echo 90,90,0.6\n")
    answer = mitobench("check-plugin", spec)
    assert answer.code == 0, answer.out
    assert f"{spec} passes all checks." in answer.out
