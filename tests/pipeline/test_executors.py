"""Running a plan: caching, failures that affect only their own combinations, repair, several processes."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitobench import discovery
from mitobench.api import Context
from mitobench.benchmark import Benchmark, Grid
from mitobench.errors import MitobenchError, PluginError, StoreError
from mitobench.pipeline.executors import ProgressListener, StageResult, Work, executor_of, processes
from mitobench.pipeline.executors.stage_run import changed_code, run_unchanged_stage
from mitobench.reproduce import reproduce
from mitobench.results.check import check
from mitobench.results.record import read as read_record
from mitobench.results.record import read_detections
from mitobench.weights_search import WHOLE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toys")]


class Diary(ProgressListener):
    """Records the results of all stages."""

    def __init__(self) -> None:
        self.results: list[StageResult] = []

    def finished(self, result: StageResult) -> None:
        self.results.append(result)

    def ran(self) -> list[str]:
        return [o.stage.label for o in self.results if o.output and not o.cached]


@pytest.fixture
def run(small_data: Path, tmp_path: Path) -> Any:
    profile = tmp_path / "toys.toml"
    profile.write_text('title = "toys"\n')

    def run(
        detector: str = "toy-dark",
        verifier: str = "toy-mean",
        jobs: int = 1,
        prepare_only: bool = False,
        **options: Any,
    ) -> tuple[Benchmark, Diary]:
        roles = {"estimator": "toy-boxes", "detector": detector, "verifier": verifier, "fuser": "toy-sum"}
        benchmark = Benchmark.prepare(
            [Grid({role: names.split(",") for role, names in roles.items()})],
            **{"data": small_data, "datasets": ["synthetic"], "profile": str(profile), "device": "cpu", **options},
            store=tmp_path / "store",
        )
        diary = Diary()
        if not prepare_only:
            benchmark.run(tmp_path / "out", diary, executor_of(jobs=jobs))
        return benchmark, diary

    return run


def contents(benchmark: Benchmark) -> list[dict[str, Any]]:
    return [record.content() for _, record in benchmark.records]


def test_a_run_ends_in_a_record_with_scores(run: Any) -> None:
    benchmark, diary = run()
    ((path, record),) = benchmark.records
    assert path.is_file()
    assert record.test is not None
    assert record.test.n_mitoses == record.test.tp + record.test.fn
    assert record.chosen.point.threshold is not None
    assert record.detections.rows > 0
    assert len(diary.ran()) == len(benchmark.plan.stages)


def test_a_second_run_uses_the_store_and_gives_the_same_record(run: Any) -> None:
    first, _ = run()
    second, diary = run()
    assert diary.ran() == []
    assert contents(first) == contents(second)


@pytest.mark.thorough
def test_several_processes_give_the_same_record(run: Any, tmp_path: Path) -> None:
    first, _ = run(verifier="toy-net", detector="toy-dark,toy-boxless")
    os.rename(tmp_path / "store", tmp_path / "other")
    second, diary = run(verifier="toy-net", detector="toy-dark,toy-boxless", jobs=2)
    assert len(diary.ran()) == len(second.plan.stages)
    assert contents(first) == contents(second)


@pytest.mark.parametrize(
    ("detector", "verifier", "message"),
    [
        ("toy-nan", "toy-mean", "Plugin 'toy-nan' 1 on frame synthetic/.*NaN"),
        ("toy-dark", "toy-short", "Plugin 'toy-short' 1 on frame .*shape"),
        ("toy-fails", "toy-mean", r"RuntimeError: this toy fails on purpose \(mitobench_toys/__init__.py:\d+\)$"),
    ],
)
def test_a_plugin_that_misbehaves_fails_only_its_own_row(run: Any, detector: str, verifier: str, message: str) -> None:
    benchmark, _ = run(detector=f"toy-boxless,{detector}", verifier=verifier if detector == "toy-dark" else "toy-mean")
    records = {record.combination["detector"]: record for _, record in benchmark.records}
    bad = records[detector]
    assert bad.status == "failed"
    assert bad.test is None
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(bad.reason)
    if verifier != "toy-short":
        assert records["toy-boxless"].status == "ok"
    assert benchmark.has_failures


def test_a_plugin_that_ends_the_process_fails_only_its_own_row(run: Any) -> None:
    benchmark, _ = run(detector="toy-exits,toy-boxless")
    records = {record.combination["detector"]: record for _, record in benchmark.records}
    assert records["toy-boxless"].status == "ok"
    assert records["toy-exits"].status == "failed"
    assert records["toy-exits"].reason
    assert benchmark.has_failures


@pytest.mark.parametrize("detector", ["toy-versionless", "toy-demanding", "toy-confused", "toy-carded", "toy-broken"])
def test_a_plugin_that_cannot_be_planned_with_has_no_record(run: Any, detector: str) -> None:
    benchmark, _ = run(detector=f"{detector},toy-boxless")
    ((_, record),) = benchmark.records
    assert (record.combination["detector"], record.status) == ("toy-boxless", "ok")
    assert benchmark.has_failures


def test_a_plugin_that_breaks_leaves_its_earlier_record(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = run(detector="toy-boxless")
    ((path, record),) = first.records
    load = discovery.load

    def broken(role: str, spec: str) -> Any:
        if spec == "toy-boxless":
            raise PluginError("on purpose")
        return load(role, spec)

    monkeypatch.setattr(discovery, "load", broken)
    second, _ = run(detector="toy-boxless")
    assert second.has_failures
    assert sorted(path.parent.glob("*.json")) == [path]
    assert read_record(path).digest == record.digest


def test_a_process_that_dies_fails_its_own_stage(run: Any) -> None:
    benchmark, diary = run(detector="toy-dies,toy-boxless", jobs=2)
    (died,) = [result for result in diary.results if not result.output and not result.left_out]
    assert died.stage.kind == "fit-detector"
    records = {record.combination["detector"]: record for _, record in benchmark.records}
    assert records["toy-boxless"].status == "ok"
    assert "its process died (exit code 9)" in records["toy-dies"].reason


@pytest.mark.thorough
def test_a_process_runs_many_stages_and_a_dead_one_is_replaced(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[processes._Worker] = []
    start = processes._Worker._start
    monkeypatch.setattr(processes._Worker, "_start", lambda worker: started.append(worker) or start(worker))
    benchmark, _ = run(detector="toy-dies,toy-boxless", jobs=2)
    assert len(benchmark.plan.stages) > 8
    assert len(set(started)) == 2
    assert len(started) in (2, 3), "a dead one is replaced only while there is work for it"


def test_negative_scores_are_kept_without_a_candidate_threshold(run: Any) -> None:
    benchmark, _ = run(detector="toy-negative")
    ((_, record),) = benchmark.records
    assert record.status == "ok", record.reason
    assert record.test.n_detections > 0


def test_a_record_is_written_before_the_run_has_ended(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mitobench_toys

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mitobench_toys.ToyFails, "fit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(detector="toy-boxless,toy-fails")
    assert len(list((tmp_path / "out" / "records").glob("*.json"))) == 1


def test_a_failed_repetition_keeps_the_good_record(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mitobench_toys

    first, _ = run()
    shutil.rmtree(tmp_path / "store")
    monkeypatch.setattr(mitobench_toys.ToyDark, "predict", mitobench_toys.ToyNaN.predict)
    run()
    ((path, _),) = first.records
    assert '"status": "ok"' in path.read_text()


def test_a_failed_stage_runs_again_in_the_next_run(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import mitobench_toys

    run(detector="toy-fails")
    monkeypatch.setattr(mitobench_toys.ToyFails, "fit", mitobench_toys.ToyDark.fit)
    benchmark, _ = run(detector="toy-fails")
    assert [record.status for _, record in benchmark.records] == ["ok"]


def test_a_stage_with_a_corrupt_output_runs_again_with_the_same_result(run: Any, tmp_path: Path) -> None:
    first, _ = run()
    for path in sorted((tmp_path / "store" / "stages").rglob("*.npz"))[:1]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
    second, diary = run()
    assert len(diary.ran()) == 1
    assert contents(first) == contents(second)


def test_a_full_disk_ends_the_run_and_the_store_still_works(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import mitobench_toys

    def full(self: Any, folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(mitobench_toys.ToyMean, "save", full)
        with pytest.raises(StoreError, match="Free some space"):
            run()
    benchmark, diary = run()
    assert [record.status for _, record in benchmark.records] == ["ok"]
    assert not any("toy-dark" in label and "fit" in label for label in diary.ran()), "finished stages are kept"


def test_a_fit_over_two_processes_learns_what_one_learns(run: Any) -> None:
    one, _ = run(verifier="toy-net", sets=["verifier.iterations=30"])
    two, _ = run(verifier="toy-net", sets=["verifier.iterations=30"], processes=2)
    scores = []
    for benchmark in (one, two):
        stage = next(
            s for s in benchmark.plan.stages.values() if s.kind == "verifier-scores" and s.settings["part"] == "test"
        )
        output = benchmark.store.get(stage.kind, stage.key)
        with np.load(output.folder / "scores.npz") as file:
            scores.append(file["rows"])
    # The same items in the same batches; only dropout, drawn by each process for its half, differs.
    assert np.abs(scores[0] - scores[1]).mean() < 0.1
    assert np.corrcoef(scores[0], scores[1])[0, 1] > 0.9


def test_the_record_gives_the_reason_of_a_failed_child_process(run: Any) -> None:
    benchmark, _ = run(detector="toy-fails", processes=2)
    ((_, record),) = benchmark.records
    assert record.status == "failed"
    assert "on purpose" in record.reason


def test_a_fit_never_gets_annotation_of_test_frames(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import mitobench_toys

    shown: list[str] = []
    fit = mitobench_toys.ToyMean.fit

    def spy(self: Any, train: Any, val: Any, context: Context) -> None:
        shown.extend(sample.frame.key for sample in (*train, *val))
        fit(self, train, val, context)

    monkeypatch.setattr(mitobench_toys.ToyMean, "fit", spy)
    benchmark, _ = run()
    test = benchmark.workspace.part(["synthetic"], "test")
    assert shown
    assert not set(shown) & set(test)


def test_the_training_info_of_a_fit_is_in_the_record(run: Any) -> None:
    benchmark, _ = run(detector="toy-child")
    ((_, record),) = benchmark.records
    workspace = benchmark.workspace
    boxes = sum(len(workspace.item(key).mitoses) for key in workspace.part(["synthetic"], "train"))
    assert record.training_info == {"detector requires toy-dark": {"boxes": boxes}}


def test_training_info_that_is_not_json_fails_the_fit(run: Any) -> None:
    benchmark, _ = run(detector="toy-unserializable")
    ((_, record),) = benchmark.records
    assert record.status == "failed"
    assert "context.training_info must hold JSON values" in record.reason


def test_pretrained_weights_reach_the_fit_and_the_record_names_them(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "side.txt"
    file.write_text("44")
    benchmark, _ = run(detector="toy-pretrained", sets=[f"detector.pretrained={file}"])
    ((path, record),) = benchmark.records
    x1, _, x2, _ = read_detections(path, record).boxes[0]
    assert x2 - x1 == pytest.approx(44)
    digest = hashlib.sha256(b"44").hexdigest()
    assert record.plugins["detector"].options["pretrained"] == f"side.txt, sha256 {digest}", "no folder of this machine"
    assert "toy-pretrained started from side.txt" in record.notes
    assert "trained from scratch" not in record.notes


def test_average_precision_may_choose_in_place_of_f1(run: Any) -> None:
    ((_, by_f1),) = run()[0].records
    ((path, record),) = run(sets=["pipeline.choose_by=average-precision"])[0].records[-1:]
    assert "choose_by" not in by_f1.pipeline, "records have it where it is not the default"
    assert record.pipeline["choose_by"] == "average-precision"
    assert record.identity != by_f1.identity
    assert check(path).problems == []
    values = [one.validation.average_precision or 0.0 for one in (record, by_f1)]
    assert values[0] >= values[1], "whatever F1 chooses was tried, too"


def test_the_network_of_a_record_is_taken_over_without_training(run: Any, tmp_path: Path) -> None:
    ((path, trained),) = run(verifier="toy-net")[0].records
    sets = [f"verifier.pretrained=record:{path}", "verifier.iterations=0"]
    benchmark, _ = run(verifier="toy-net", sets=sets)
    ((_, record),) = [(path, record) for path, record in benchmark.records if record.overrides]
    assert record.test == trained.test
    assert record.training_info["verifier"] == {WHOLE: True}
    assert record.plugins["verifier"].learned_from == ["synthetic (by-slide)"]
    assert "toy-net: its weights had been trained before, on synthetic (by-slide)" in record.notes
    (fit,) = [stage for stage in benchmark.plan.stages.values() if stage.kind == "fit-verifier"]
    assert "candidates-train" not in fit.upstream, "training frames are not searched for what nothing learns from"


def test_a_network_that_was_taken_over_twice_still_names_what_it_learned_from(run: Any) -> None:
    ((path, _),) = run(verifier="toy-net")[0].records
    for protocol in ("cv-by-slide-1of3", "cv-by-slide-2of3"):
        sets = [f"verifier.pretrained=record:{path}", "verifier.iterations=0"]
        (path, record) = run(verifier="toy-net", sets=sets, protocol=protocol)[0].records[-1]
        assert record.plugins["verifier"].learned_from == ["synthetic (by-slide)"]


def test_a_record_with_a_network_taken_over_is_reproduced_from_the_weights(
    run: Any, small_data: Path, tmp_path: Path
) -> None:
    ((path, _),) = run(verifier="toy-net")[0].records
    (path, _) = run(verifier="toy-net", sets=[f"verifier.pretrained=record:{path}", "verifier.iterations=0"])[
        0
    ].records[-1]
    again = reproduce(
        path, data=small_data, show_progress=lambda _: nullcontext(ProgressListener()), notify=lambda _: None
    )
    assert again.verdict == "equal", again.differing


def test_without_weights_there_is_nothing_to_take_over(run: Any) -> None:
    for pretrained in ("none", "auto"):
        sets = ["verifier.iterations=0", f"verifier.pretrained={pretrained}"]
        with pytest.raises(MitobenchError, match=r"verifier toy-net: iterations = 0 .* pretrained=record:"):
            run(verifier="toy-net", sets=sets, prepare_only=True)


def test_a_failed_record_has_no_note_on_what_the_fit_started_from(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "side.txt"
    file.write_text("no number")
    ((_, record),) = run(detector="toy-pretrained", sets=[f"detector.pretrained={file}"])[0].records
    assert record.status == "failed"
    assert not [note for note in record.notes if "started" in note or "scratch" in note]


def test_a_record_lists_the_overrides_that_take_effect_in_it(run: Any) -> None:
    sets = ["detector.most=7", "detector.toy-dark.shrink=0.5", "verifier.iterations=3", "pipeline.gate=0.1"]
    record = {
        (record.combination["detector"], record.combination["verifier"]): record.overrides
        for _, record in run(detector="toy-dark,toy-child", verifier="toy-mean,none,toy-net", sets=sets)[0].records
    }
    threshold = "pipeline.candidate_threshold=0.1"
    assert record["toy-dark", "toy-mean"] == [*sets[:2], threshold]
    assert record["toy-dark", "none"] == sets[:2]
    assert record["toy-child", "none"] == sets[:2], "toy-child starts from toy-dark"
    assert record["toy-dark", "toy-net"] == [*sets[:3], threshold]


def test_a_candidate_threshold_applies_to_the_detector_it_names(run: Any) -> None:
    override = 'pipeline.candidate_threshold={"toy-dark": 0.4}'
    records = [record for _, record in run(detector="toy-dark,toy-child", sets=[override])[0].records]
    thresholds = {r.combination["detector"]: r.pipeline["candidate_threshold"] for r in records}
    assert thresholds == {"toy-dark": 0.4, "toy-child": "validation"}


def test_a_record_notes_that_no_candidate_passed(run: Any) -> None:
    ((_, record),) = run(sets=["pipeline.candidate_threshold=9.5"])[0].records
    passed = [note for note in record.notes if "passed" in note]
    assert passed == [f"no candidate passed the threshold 9.5 on the {part} frames" for part in ("validation", "test")]
    ((_, record),) = run()[0].records
    assert not [note for note in record.notes if "passed" in note]


def test_a_record_notes_the_pretrained_weights_that_were_wanted_and_not_found(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mitobench.training import find_weights

    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(tmp_path / "weights"))
    plugin = discovery.load("detector", "toy-pretrained")
    monkeypatch.setattr(plugin, "pretrained", lambda options: find_weights(options.pretrained, "toy_weights"))
    ((_, record),) = run(detector="toy-pretrained", sets=["detector.pretrained=auto"])[0].records
    assert record.plugins["detector"].options["pretrained"] == "none", "the same fit as without wanting any"
    assert "toy-pretrained: pretrained weights toy_weights wanted and not found" in record.notes
    ((_, record),) = run(detector="toy-pretrained", sets=["detector.pretrained=none"])[0].records
    assert not any("not found" in note for note in record.notes)


def test_a_record_notes_that_there_were_no_pretrained_weights(run: Any) -> None:
    ((_, record),) = run(detector="toy-pretrained")[0].records
    assert record.plugins["detector"].options["pretrained"] == "none"
    assert "trained from scratch" in record.notes


def test_with_a_changed_option_file_the_stored_output_is_not_used(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "side.txt"
    sides = []
    for side in ("30", "44"):
        file.write_text(side)
        benchmark, _ = run(detector="toy-configured", sets=[f"detector.config={file}"])
        ((path, record),) = benchmark.records
        x1, _, x2, _ = read_detections(path, record).boxes[0]
        sides.append(x2 - x1)
        entry = record.plugins["detector"].files["config"]
        assert (entry.name, entry.text, entry.sha256) == ("side.txt", side, hashlib.sha256(side.encode()).hexdigest())
        assert record.plugins["detector"].options["config"] == f"sha256 {entry.sha256}"
    assert sides == pytest.approx([30, 44])


@pytest.mark.parametrize(
    ("detector", "option", "kind"),
    [("toy-configured", "config", "detections"), ("toy-pretrained", "pretrained", "fit-detector")],
)
def test_an_output_is_not_stored_if_an_option_file_changed_meanwhile(
    run: Any, tmp_path: Path, detector: str, option: str, kind: str
) -> None:
    file = tmp_path / "side.txt"
    file.write_text("30")
    options = {"detector": detector, "sets": [f"detector.{option}={file}"]}

    class Changing(ProgressListener):
        def started(self, stage: Any) -> None:
            if stage.kind == kind:
                file.write_text("44")

    benchmark, _ = run(**options, prepare_only=True)
    benchmark.run(tmp_path / "out", Changing())
    ((_, record),) = benchmark.records
    assert record.status == "failed"
    assert "side.txt was changed during the run. Run the same command again." in record.reason
    assert not list((tmp_path / "store" / "stages").glob(f"{kind}/*"))


def test_a_stage_fails_if_its_code_changed_since_the_plan(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark, _ = run(prepare_only=True)
    stage = next(iter(benchmark.plan.stages.values()))
    assert changed_code(stage) is None
    other = replace(stage, settings={**stage.settings, "harness": "0" * 64})
    assert changed_code(other) == "the code of mitobench"
    work = Work(benchmark.store.open(), benchmark.workspace)
    assert "code was changed during the run" in str(run_unchanged_stage(other, work).reason)


def test_a_stage_fails_if_its_plugin_cannot_be_loaded_where_it_runs(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that would run it must not die of it: the user would read of memory."""
    benchmark, _ = run(prepare_only=True)
    stage = next(stage for stage in benchmark.plan.stages.values() if stage.plugin)

    def missing(role: str, name: str) -> Any:
        raise PluginError(f"{name} cannot be imported on this machine")

    monkeypatch.setattr(discovery, "load", missing)
    result = run_unchanged_stage(stage, Work(benchmark.store.open(), benchmark.workspace))
    assert result.output is None
    assert "cannot be imported on this machine" in str(result.reason)


def test_an_output_is_not_stored_if_a_frame_changed_meanwhile(run: Any, small_data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(small_data, tmp_path / "data")
    benchmark, _ = run(prepare_only=True, data=copy)
    stage = next(s for s in benchmark.plan.stages.values() if s.kind == "detections" and s.settings["part"] == "test")
    image = benchmark.workspace.item(stage.frames["frames"][0]).files[0]

    class Changing(ProgressListener):
        def started(self, stage: Any) -> None:
            if stage.kind == "detections":
                image.write_bytes(image.read_bytes() + b"0")

    benchmark.run(tmp_path / "out", Changing())
    ((_, record),) = benchmark.records
    assert record.status == "failed"
    assert f"{image} was changed during the run. Run the same command again." in record.reason
    assert not (tmp_path / "store" / "stages" / "detections" / stage.key).exists()
