"""Doing a plan: caching, failures that stay where they are, repair, two runs at once."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitobench.api import Context
from mitobench.benchmark import Benchmark, Grid
from mitobench.errors import StoreError
from mitobench.pipeline import executors
from mitobench.pipeline.executors import Outcome, Watcher
from mitobench.results.record import read_detections

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toys")]


class Diary(Watcher):
    """Writes down what happens."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def finished(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def done(self) -> list[str]:
        return [o.stage.label for o in self.outcomes if o.output and not o.cached]


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
            benchmark.run(tmp_path / "out", diary, jobs)
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
    assert len(diary.done()) == len(benchmark.plan.stages)


def test_a_second_run_does_nothing_again_and_gives_the_same_record(run: Any) -> None:
    first, _ = run()
    second, diary = run()
    assert diary.done() == []
    assert contents(first) == contents(second)


def test_several_processes_give_the_same_record(run: Any, tmp_path: Path) -> None:
    first, _ = run(verifier="toy-net", detector="toy-dark,toy-boxless")
    os.rename(tmp_path / "store", tmp_path / "other")
    second, diary = run(verifier="toy-net", detector="toy-dark,toy-boxless", jobs=2)
    assert len(diary.done()) == len(second.plan.stages)
    assert contents(first) == contents(second)


@pytest.mark.parametrize(
    ("detector", "verifier", "said"),
    [
        ("toy-nan", "toy-mean", "Plugin 'toy-nan' 1 on frame synthetic/.*NaN"),
        ("toy-dark", "toy-short", "Plugin 'toy-short' 1 on frame .*shape"),
        ("toy-fails", "toy-mean", "RuntimeError: this toy fails on purpose"),
    ],
)
def test_a_plugin_that_misbehaves_spoils_its_own_row_only(run: Any, detector: str, verifier: str, said: str) -> None:
    benchmark, _ = run(detector=f"toy-boxless,{detector}", verifier=verifier if detector == "toy-dark" else "toy-mean")
    records = {record.combination["detector"]: record for _, record in benchmark.records}
    bad = records[detector]
    assert bad.status == "failed"
    assert bad.test is None
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(bad.reason)
    if verifier != "toy-short":
        assert records["toy-boxless"].status == "ok"
    assert benchmark.spoiled


@pytest.mark.parametrize(
    "detector", ["toy-versionless", "toy-demanding", "toy-confused", "toy-exits", "toy-carded", "toy-broken"]
)
def test_whatever_a_plugin_does_its_row_fails_and_the_others_stand(run: Any, detector: str) -> None:
    benchmark, _ = run(detector=f"{detector},toy-boxless")
    records = {record.combination["detector"]: record for _, record in benchmark.records}
    assert records["toy-boxless"].status == "ok"
    assert records[detector].status == "failed"
    assert records[detector].reason
    assert benchmark.spoiled


def test_a_process_that_dies_fails_its_own_stage(run: Any) -> None:
    benchmark, diary = run(detector="toy-dies,toy-boxless", jobs=2)
    (died,) = [outcome for outcome in diary.outcomes if not outcome.output and not outcome.left_out]
    assert died.stage.kind == "fit-detector"
    records = {record.combination["detector"]: record for _, record in benchmark.records}
    assert records["toy-boxless"].status == "ok"
    assert "its process died (exit code 9)" in records["toy-dies"].reason


def test_scores_below_zero_pass_where_there_is_no_gate(run: Any) -> None:
    benchmark, _ = run(detector="toy-negative")
    ((_, record),) = benchmark.records
    assert record.status == "ok", record.reason
    assert record.test.n_detections > 0


def test_a_row_is_recorded_before_the_run_has_ended(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_failed_stage_is_tried_again(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import mitobench_toys

    run(detector="toy-fails")
    monkeypatch.setattr(mitobench_toys.ToyFails, "fit", mitobench_toys.ToyDark.fit)
    benchmark, _ = run(detector="toy-fails")
    assert [record.status for _, record in benchmark.records] == ["ok"]


def test_a_corrupt_output_is_done_again_with_the_same_result(run: Any, tmp_path: Path) -> None:
    first, _ = run()
    for path in sorted((tmp_path / "store" / "stages").rglob("*.npz"))[:1]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
    second, diary = run()
    assert len(diary.done()) == 1
    assert contents(first) == contents(second)


def test_a_full_disk_ends_the_run_and_leaves_a_store_that_works(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import mitobench_toys

    def full(self: Any, folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(mitobench_toys.ToyMean, "save", full)
        with pytest.raises(StoreError, match="Free some space"):
            run()
    benchmark, diary = run()
    assert [record.status for _, record in benchmark.records] == ["ok"]
    assert not any("toy-dark" in label and "fit" in label for label in diary.done()), "what was finished is kept"


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


def test_a_failing_child_process_says_why(run: Any) -> None:
    benchmark, _ = run(detector="toy-fails", processes=2)
    ((_, record),) = benchmark.records
    assert record.status == "failed"
    assert "on purpose" in record.reason


def test_no_label_of_the_test_set_reaches_a_plugin(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_what_a_fit_says_of_itself_is_in_the_record(run: Any) -> None:
    benchmark, _ = run(detector="toy-child")
    ((_, made),) = benchmark.records
    workspace = benchmark.workspace
    boxes = sum(len(workspace.item(key).mitoses) for key in workspace.part(["synthetic"], "train"))
    assert made.training_info == {"detector requires toy-dark": {"boxes": boxes}}


def test_facts_that_no_record_can_hold_fail_the_fit(run: Any) -> None:
    benchmark, _ = run(detector="toy-no-facts")
    ((_, record),) = benchmark.records
    assert record.status == "failed"
    assert "context.facts must hold JSON values" in record.reason


def test_pretrained_weights_reach_the_fit_and_the_record_names_them(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "side.txt"
    file.write_text("44")
    benchmark, _ = run(detector="toy-pretrained", sets=[f"detector.pretrained={file}"])
    ((path, made),) = benchmark.records
    x1, _, x2, _ = read_detections(path, made).boxes[0]
    assert x2 - x1 == pytest.approx(44)
    digest = hashlib.sha256(b"44").hexdigest()
    assert made.plugins["detector"].options["pretrained"] == f"side.txt, sha256 {digest}", "no folder of this machine"
    assert "toy-pretrained started from side.txt" in made.notes
    assert "trained from scratch" not in made.notes


def test_a_failed_row_does_not_say_what_it_started_from(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "side.txt"
    file.write_text("no number")
    ((_, made),) = run(detector="toy-pretrained", sets=[f"detector.pretrained={file}"])[0].records
    assert made.status == "failed"
    assert not [note for note in made.notes if "started" in note or "scratch" in note]


def test_a_record_lists_the_overrides_that_decide_something_in_it(run: Any) -> None:
    sets = ["detector.most=7", "detector.toy-dark.shrink=0.5", "verifier.iterations=3", "pipeline.gate=0.1"]
    made = {
        (record.combination["detector"], record.combination["verifier"]): record.overrides
        for _, record in run(detector="toy-dark,toy-child", verifier="toy-mean,none,toy-net", sets=sets)[0].records
    }
    threshold = "pipeline.candidate_threshold=0.1"
    assert made["toy-dark", "toy-mean"] == [*sets[:2], threshold]
    assert made["toy-dark", "none"] == sets[:2]
    assert made["toy-child", "none"] == sets[:2], "toy-child starts from toy-dark"
    assert made["toy-dark", "toy-net"] == [*sets[:3], threshold]


def test_a_candidate_threshold_holds_for_the_detector_it_names(run: Any) -> None:
    given = 'pipeline.candidate_threshold={"toy-dark": 0.4}'
    records = [record for _, record in run(detector="toy-dark,toy-child", sets=[given])[0].records]
    found = {r.combination["detector"]: r.pipeline["candidate_threshold"] for r in records}
    assert found == {"toy-dark": 0.4, "toy-child": "validation"}


def test_a_row_says_that_no_candidate_passed(run: Any) -> None:
    ((_, made),) = run(sets=["pipeline.candidate_threshold=9.5"])[0].records
    passed = [note for note in made.notes if "passed" in note]
    assert passed == [f"no candidate passed the threshold 9.5 on the {part} frames" for part in ("validation", "test")]
    ((_, made),) = run()[0].records
    assert not [note for note in made.notes if "passed" in note]


def test_without_pretrained_weights_a_row_says_so(run: Any) -> None:
    ((_, made),) = run(detector="toy-pretrained")[0].records
    assert made.plugins["detector"].options["pretrained"] == "none"
    assert "trained from scratch" in made.notes


def test_a_changed_option_file_is_not_served_from_the_store(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "side.txt"
    sides = []
    for side in ("30", "44"):
        file.write_text(side)
        benchmark, _ = run(detector="toy-configured", sets=[f"detector.config={file}"])
        ((path, made),) = benchmark.records
        x1, _, x2, _ = read_detections(path, made).boxes[0]
        sides.append(x2 - x1)
        entry = made.plugins["detector"].files["config"]
        assert (entry.name, entry.text, entry.sha256) == ("side.txt", side, hashlib.sha256(side.encode()).hexdigest())
        assert made.plugins["detector"].options["config"] == f"sha256 {entry.sha256}"
    assert sides == pytest.approx([30, 44])


@pytest.mark.parametrize(
    ("detector", "option", "kind"),
    [("toy-configured", "config", "detections"), ("toy-pretrained", "pretrained", "fit-detector")],
)
def test_what_was_made_of_a_file_that_changed_meanwhile_is_not_kept(
    run: Any, tmp_path: Path, detector: str, option: str, kind: str
) -> None:
    file = tmp_path / "side.txt"
    file.write_text("30")
    options = {"detector": detector, "sets": [f"detector.{option}={file}"]}

    class Changing(Watcher):
        def started(self, stage: Any) -> None:
            if stage.kind == kind:
                file.write_text("44")

    benchmark, _ = run(**options, prepare_only=True)
    benchmark.run(tmp_path / "out", Changing())
    ((_, made),) = benchmark.records
    assert made.status == "failed"
    assert "side.txt was changed during the run. Run the same command again." in made.reason
    assert not list((tmp_path / "store" / "stages").glob(f"{kind}/*"))


def test_a_process_that_would_import_changed_code_does_nothing(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark, _ = run(prepare_only=True)
    stage = next(iter(benchmark.plan.stages.values()))
    assert executors._changed(stage) is None
    other = replace(stage, settings={**stage.settings, "harness": "0" * 64})
    assert "code was changed during the run" in str(executors._changed(other).reason)  # type: ignore[union-attr]


def test_what_was_made_of_frames_that_changed_meanwhile_is_not_kept(run: Any, small_data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(small_data, tmp_path / "data")
    benchmark, _ = run(prepare_only=True, data=copy)
    stage = next(s for s in benchmark.plan.stages.values() if s.kind == "detections" and s.settings["part"] == "test")
    image = benchmark.workspace.item(stage.frames["frames"][0]).files[0]

    class Changing(Watcher):
        def started(self, stage: Any) -> None:
            if stage.kind == "detections":
                image.write_bytes(image.read_bytes() + b"0")

    benchmark.run(tmp_path / "out", Changing())
    ((_, made),) = benchmark.records
    assert made.status == "failed"
    assert f"{image} was changed during the run. Run the same command again." in made.reason
    assert not (tmp_path / "store" / "stages" / "detections" / stage.key).exists()
