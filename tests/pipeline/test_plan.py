"""The plan: a grid becomes distinct stages, shared stages appear once, and keys change with everything that matters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mitobench import discovery, reading
from mitobench.benchmark import Benchmark, Grid
from mitobench.datasets.splits import PARTS
from mitobench.errors import MitobenchError
from mitobench.pipeline import plugin_ref
from mitobench.pipeline.graph import Plan
from mitobench.pipeline.stages.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toys")]

PROFILE = 'title = "toys"\n'


@pytest.fixture
def prepare(small_data: Path, tmp_path: Path) -> Any:
    profile = tmp_path / "toys.toml"
    profile.write_text(PROFILE)

    def prepare(
        estimator: str = "toy-boxes",
        detector: str = "toy-dark",
        verifier: str = "toy-mean",
        fuser: str = "toy-sum",
        **options: Any,
    ) -> Benchmark:
        options = {"data": small_data, "datasets": ["synthetic"], "profile": str(profile), "device": "cpu", **options}
        roles = {"estimator": estimator, "detector": detector, "verifier": verifier, "fuser": fuser}
        split = {role: names.split(",") for role, names in roles.items()}
        return Benchmark.prepare([Grid(split)], store=tmp_path / "store", **options)

    return prepare


def stage(plan: Plan, kind: str, name: str, part: str | None = None) -> Stage:
    """Returns the one stage of that kind, plugin and part."""
    stages = [
        s
        for s in plan.stages.values()
        if s.kind == kind and s.plugin and s.plugin.name == name and s.settings.get("part") == part
    ]
    assert len(stages) == 1, [s.label for s in plan.stages.values()]
    return stages[0]


def count(plan: Plan, kind: str) -> int:
    return sum(s.kind == kind for s in plan.stages.values())


def test_a_grid_fits_each_distinct_stage_once(prepare: Any) -> None:
    plan = prepare("toy-boxes,toy-masks", "toy-dark", "toy-mean,toy-net,none", "toy-sum,toy-verifier-only").plan
    assert count(plan, "fit-detector") == 2, "one for every estimator"
    assert count(plan, "fit-verifier") == 4, "one for every estimator and verifier"
    titles = {row.combination.title for row in plan.rows if not row.problem}
    assert len(titles) == 2 * (2 * 2 + 1), "`none` with a sum is the detector alone"


def test_stages_come_after_those_they_depend_on(prepare: Any) -> None:
    seen: set[str] = set()
    for key, planned in prepare("toy-boxes,toy-masks", "toy-dark,toy-child").plan.stages.items():
        assert all(upstream.key in seen for upstream in planned.upstream.values())
        seen.add(key)


def test_a_detector_that_uses_no_boxes_gets_one_row_for_all_estimators(prepare: Any) -> None:
    plan = prepare("toy-boxes,toy-masks", "toy-boxless").plan
    assert [row.combination.estimator for row in plan.rows] == ["-"]
    assert count(plan, "boxes") == 0
    assert "boxes" not in stage(plan, "fit-detector", "toy-boxless").upstream


def test_a_required_plugin_is_fitted_once_for_both(prepare: Any) -> None:
    plan = prepare(detector="toy-dark,toy-child").plan
    parent = stage(plan, "fit-detector", "toy-dark")
    assert stage(plan, "fit-detector", "toy-child").upstream["requires-detector"].key == parent.key


@pytest.mark.parametrize("fuser", ["linear", "logit-linear", "detector-only"])
def test_without_a_verifier_built_in_sums_are_planned_as_the_detector_alone(prepare: Any, fuser: str) -> None:
    (row,) = prepare(verifier="none", fuser=f"{fuser},detector-only").plan.rows
    assert (row.combination.verifier, row.combination.fuser) == ("none", "detector-only")


def test_a_fuser_that_is_planned_as_the_detector_alone_is_named(prepare: Any) -> None:
    messages: list[str] = []
    prepare(detector="toy-dark,toy-broken", verifier="none,toy-mean", fuser="linear,toy-sum", notify=messages.append)
    said = "Without a verifier, linear computes what detector-only does: the row has its name."
    assert [text for text in messages if "detector-only" in text] == [said]
    messages.clear()
    prepare(verifier="none", fuser="linear,detector-only", notify=messages.append)
    prepare(verifier="toy-mean", fuser="linear", notify=messages.append)
    prepare(verifier="none", fuser="linear", notify=messages.append, typed=False)
    assert not any("detector-only" in text for text in messages), "the user knows, or did not type it"


@pytest.mark.parametrize("fuser", ["toy-sum", "toy-linear"])
def test_a_fuser_of_another_package_is_never_simplified(prepare: Any, fuser: str) -> None:
    """Not even if it derives from a built-in one: what it does without a verifier is not known."""
    (row,) = prepare(verifier="none", fuser=fuser).plan.rows
    assert row.combination.fuser == fuser
    assert stage(prepare(verifier="none", fuser=fuser).plan, "fusion", fuser)


def test_a_role_that_is_left_out_has_the_profiles_default(small_data: Path, tmp_path: Path) -> None:
    profile, messages = tmp_path / "mine.toml", list[str]()
    profile.write_text('[defaults]\nestimator = "toy-boxes"\nverifier = ["nowhere", "toy-mean"]\nfuser = "toy-sum"\n')
    options: dict[str, Any] = {"data": small_data, "datasets": ["synthetic"], "profile": str(profile), "device": "cpu"}
    benchmark = Benchmark.prepare(
        [Grid({"detector": ["toy-dark"]})], store=tmp_path / "store", notify=messages.append, **options
    )
    (row,) = benchmark.plan.rows
    names = (row.combination.estimator, row.combination.detector, row.combination.verifier, row.combination.fuser)
    assert names == ("toy-boxes", "toy-dark", "toy-mean", "toy-sum")
    assert "Default verifier: toy-mean, because nowhere of profile mine.toml is not installed." in messages


def test_an_option_of_a_default_plugin_may_be_set_and_a_wrong_one_is_named_before_data_is_read(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text(
        '[defaults]\nestimator = "toy-boxes"\ndetector = "toy-dark"\nverifier = "toy-mean"\nfuser = "toy-sum"\n'
    )
    options: dict[str, Any] = {"data": small_data, "datasets": ["synthetic"], "profile": str(profile), "device": "cpu"}
    grid = Grid({"verifier": ["toy-mean"]}, ["detector.most=3"])
    (row,) = Benchmark.prepare([grid], store=tmp_path / "store", **options).plan.rows
    assert row.refs["detector"].options["most"] == 3
    monkeypatch.setattr(reading, "read", lambda *_: pytest.fail("data were read"))
    for text, message in (("detector.mots=3", "Did you mean most"), ("detector.most=many", "valid integer")):
        with pytest.raises(MitobenchError, match=message):
            Benchmark.prepare([grid], sets=[text], store=tmp_path / "store", **options)


def test_an_impossible_combination_is_not_applicable(prepare: Any) -> None:
    plan = prepare(verifier="none", fuser="toy-verifier-only").plan
    assert plan.rows[0].problem == ("not applicable", "fuser toy-verifier-only needs a verifier")
    plan = prepare("toy-masks", datasets=["synthetic-centroids"]).plan
    status, reason = plan.rows[0].problem or ("", "")
    assert status == "not applicable"
    assert "needs masks" in reason


def test_a_plugin_that_cannot_be_imported_breaks_its_own_rows_only(prepare: Any) -> None:
    plan = prepare(detector="toy-dark,toy-broken").plan
    problems = {row.combination.detector: row.problem for row in plan.rows}
    assert problems["toy-dark"] is None
    status, reason = problems["toy-broken"] or ("", "")
    assert status == "broken"
    assert "mitobench-toys" in reason
    assert "on purpose" in reason


def test_a_plugin_that_cannot_say_whether_it_takes_a_network_over_breaks_its_own_rows_only(
    prepare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(options: Any) -> bool:
        raise ValueError("on purpose")

    monkeypatch.setattr(discovery.load("verifier", "toy-net"), "takes_over", broken)
    problems = {row.combination.verifier: row.problem for row in prepare(verifier="toy-net,toy-mean").plan.rows}
    assert problems["toy-mean"] is None
    assert problems["toy-net"] == ("broken", "verifier 'toy-net': takes_over() raised ValueError: on purpose.")


def test_folds_of_candidates_need_a_detector_that_trains(prepare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery.load("detector", "toy-dark"), "takes_over", classmethod(lambda cls, options: True))
    monkeypatch.setattr(plugin_ref, "_pretrained", lambda *_: Path(__file__))
    with pytest.raises(MitobenchError, match=r"out-of-fold\(2\): toy-dark with iterations = 0 is one network"):
        prepare(sets=["pipeline.candidates=out-of-fold(2)"])


def test_seeds_vary_training_and_never_the_split(prepare: Any) -> None:
    plan = prepare(verifier="toy-net", seeds=[0, 1]).plan
    assert count(plan, "fit-verifier") == 2
    test_frames = {s.frames["test"] for s in plan.stages.values() if s.kind == "evaluation"}
    assert len(test_frames) == 1


def test_an_option_changes_the_stages_that_depend_on_it_and_no_others(prepare: Any) -> None:
    before, after = prepare().plan, prepare(sets=["detector.shrink=2"]).plan
    assert stage(before, "boxes", "toy-boxes").key == stage(after, "boxes", "toy-boxes").key
    assert stage(before, "fit-detector", "toy-dark").key != stage(after, "fit-detector", "toy-dark").key
    assert stage(before, "evaluation", "toy-sum").key != stage(after, "evaluation", "toy-sum").key


@pytest.mark.parametrize("changed", [{"seeds": [1]}, {"sets": ["detector.shrink=2"]}, {"processes": 2}, {"threads": 7}])
def test_seed_options_and_numbers_of_processes_and_threads_change_the_key_of_a_fit(
    prepare: Any, changed: dict[str, Any]
) -> None:
    one, other = (stage(prepare(**c).plan, "fit-detector", "toy-dark").key for c in ({}, changed))
    assert one != other


def test_a_changed_annotation_changes_the_keys(prepare: Any, small_data: Path) -> None:
    before = stage(prepare().plan, "fit-detector", "toy-dark").key
    path = next(p for p in sorted(small_data.rglob("A00_*.csv")) if p.stat().st_size)
    content = path.read_text()
    try:
        path.write_text("1,1,2,1,1,2,2,2\n" + content)
        assert stage(prepare().plan, "fit-detector", "toy-dark").key != before
    finally:
        path.write_text(content)
    assert stage(prepare().plan, "fit-detector", "toy-dark").key == before


def test_nothing_is_fitted_or_chosen_on_test_frames(prepare: Any) -> None:
    plan = prepare(verifier="toy-net").plan
    test = set(stage(plan, "evaluation", "toy-sum").frames["test"])
    for planned in plan.stages.values():
        if planned.kind.startswith(("fit", "fusion", "boxes")):
            used = {key for keys in planned.frames.values() for key in keys}
            pending = list(planned.upstream.values())
            while pending:
                upstream = pending.pop()
                used |= {key for keys in upstream.frames.values() for key in keys}
                pending += upstream.upstream.values()
            assert not used & test, planned.label


def test_out_of_fold_candidates_come_from_detectors_that_have_not_seen_the_slide(prepare: Any) -> None:
    benchmark = prepare(sets=["pipeline.candidates=out-of-fold(3)"])
    fitted = stage(benchmark.plan, "fit-verifier", "toy-mean")
    folds = [s for role, s in fitted.upstream.items() if role.startswith("candidates-train")]
    assert len(folds) == 3
    covered: list[str] = []
    for fold in folds:
        slide_of = benchmark.workspace.group_of
        seen = {slide_of(key) for key in fold.upstream["detector"].frames["train"]}
        assert not seen & {slide_of(key) for key in fold.frames["frames"]}
        covered += fold.frames["frames"]
    assert sorted(covered) == sorted(fitted.frames["train"])


def test_training_on_another_set_is_a_row_of_its_own_with_its_own_validation(prepare: Any) -> None:
    benchmark = prepare(train_on=["synthetic-centroids"], datasets=["synthetic"])
    fusion = stage(benchmark.plan, "fusion", "toy-sum")
    evaluation = stage(benchmark.plan, "evaluation", "toy-sum")
    assert {key.partition("/")[0] for key in fusion.frames["val"]} == {"synthetic-centroids"}
    assert {key.partition("/")[0] for key in evaluation.frames["test"]} == {"synthetic"}


def test_thresholds_are_chosen_on_the_tested_set_if_it_is_also_trained_on(prepare: Any) -> None:
    benchmark = prepare(train_on=["synthetic-centroids", "synthetic"], datasets=["synthetic"])
    fitted, fusion = stage(benchmark.plan, "fit-detector", "toy-dark"), stage(benchmark.plan, "fusion", "toy-sum")
    part = benchmark.workspace.part
    everything = [*part(["synthetic"], "train"), *(k for p in PARTS for k in part(["synthetic-centroids"], p))]
    assert fitted.frames["train"] == tuple(sorted(everything)), "all frames of a set that is only trained on"
    assert {key.partition("/")[0] for key in fusion.frames["val"]} == {"synthetic"}


def test_errors_about_unknown_names_list_similar_names(prepare: Any) -> None:
    with pytest.raises(MitobenchError, match=r"Unknown detector 'toy-drak'\. Did you mean:? toy-dark"):
        prepare(detector="toy-drak")
    with pytest.raises(MitobenchError, match="shrimk"):
        prepare(sets=["detector.shrimk=2"])


def test_changing_an_option_read_only_at_prediction_reuses_the_fit(prepare: Any) -> None:
    before, after = prepare().plan, prepare(sets=["detector.most=7"]).plan
    assert stage(before, "fit-detector", "toy-dark").key == stage(after, "fit-detector", "toy-dark").key
    assert stage(before, "detections", "toy-dark", "val").key != stage(after, "detections", "toy-dark", "val").key


def test_the_content_of_pretrained_weights_is_part_of_the_key_and_their_path_is_not(
    prepare: Any, tmp_path: Path
) -> None:
    def key(place: str, side: str) -> str:
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "side.txt").write_text(side)
        sets = [f"detector.pretrained={tmp_path / place / 'side.txt'}"]
        return stage(prepare(detector="toy-pretrained", sets=sets).plan, "fit-detector", "toy-pretrained").key

    assert key("here", "20") == key("there", "20")
    assert key("here", "20") != key("elsewhere", "30")


def test_pretrained_weights_that_cannot_be_read_are_named(prepare: Any, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (row,) = prepare(detector="toy-pretrained", sets=[f"detector.pretrained={tmp_path / 'folder'}"]).plan.rows
    status, reason = row.problem or ("", "")
    assert status == "broken"
    assert f"{tmp_path / 'folder'}: cannot be read: Is a directory" in reason


def test_grids_share_equal_stages(small_data: Path, tmp_path: Path) -> None:
    profile = tmp_path / "toys.toml"
    profile.write_text(PROFILE)
    roles = {"estimator": ["toy-boxes"], "detector": ["toy-dark"], "verifier": ["none"], "fuser": ["detector-only"]}
    grids = [Grid(roles | {"fuser": ["toy-sum"]}, [f"detector.most={most}"]) for most in (5, 7)]
    benchmark = Benchmark.prepare(
        grids, data=small_data, datasets=["synthetic"], profile=str(profile), device="cpu", store=tmp_path / "store"
    )
    assert len(benchmark.plan.rows) == 2
    assert count(benchmark.plan, "fit-detector") == 1
    assert count(benchmark.plan, "detections") == 4


def test_the_content_of_an_option_file_is_part_of_the_key_and_its_path_is_not(prepare: Any, tmp_path: Path) -> None:
    def keys(place: str, side: str) -> set[str]:
        (tmp_path / place).write_text(side)
        return set(prepare(detector="toy-configured", sets=[f"detector.config={tmp_path / place}"]).plan.stages)

    assert keys("here", "20") == keys("there", "20")
    before, after = keys("here", "20"), keys("here", "30")
    assert len(before) == len(after)
    assert before & after == {key for key, s in prepare().plan.stages.items() if s.kind in ("boxes", "box-scores")}


def test_an_option_file_that_cannot_be_read_is_named_with_its_option(prepare: Any, tmp_path: Path) -> None:
    given = f"detector.config={tmp_path / 'none.toml'}"
    with pytest.raises(MitobenchError, match=rf"--set {given}: Value error, .*none\.toml cannot be read: No such file"):
        prepare(detector="toy-configured", sets=[given])
