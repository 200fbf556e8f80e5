"""What a record says in two places must agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_runs
from records import failed, ok

from mitobench.pipeline import canonical
from mitobench.results.command import command_of
from mitobench.results.consistency import KINDS, contradictions
from mitobench.results.schema import Record

pytestmark = pytest.mark.slow

Content = dict[str, Any]
Change = Callable[[Content], object]


def wrong(path: Path, change: Change, rekey: bool = True) -> set[str]:
    """The paths of all contradictions after a change.

    The command always fits the changed record; `rekey`: the keys of the stages fit their specs, too.
    """
    content = json.loads(path.read_text())
    change(content)
    if rekey:
        tiny_runs.rekey(content)
    content["run"]["command"] = command_of(Record.model_validate(content))
    return {found.path for found in contradictions(Record.model_validate(content))}


def spec_of(content: Content, role: str) -> Content:
    """The spec of the stage of a role."""
    spec: Content = content["specs"][content["stages"][role]]
    return spec


def test_what_a_run_wrote_does_not_contradict_itself(toy_records: list[Path], core_records: dict[str, Path]) -> None:
    for path in (*toy_records, *core_records.values()):
        assert wrong(path, lambda content: None) == set()


def test_a_failed_record_does_not_contradict_itself_either() -> None:
    assert list(contradictions(failed())) == []
    assert [found.path for found in contradictions(failed(reason=""))] == ["reason"]


DATA = "data.synthetic"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda c: c.update(reason="none"), "reason"),
        (lambda c: c["notes"].remove("synthetic: made by a program, no tissue"), "notes"),
        (lambda c: c["notes"].remove("trained from scratch"), "notes"),
        (lambda c: c.update(scale=0.5), "notes"),
        (lambda c: c["data"]["synthetic"].update(coverage="3 of 9 A frames"), "notes"),
        (lambda c: c.update(boxes=None), "notes"),
        (lambda c: c["frames"]["test"][0].update(mitoses=None), "notes"),
        (lambda c: c["frames"]["val"][0].update(group=f"synthetic/{c['frames']['test'][0]['group']}"), "notes"),
        (lambda c: c["validation"].update(n_detections=0), "notes"),
        (lambda c: c["combination"].update(protocol="official"), "combination.protocol"),
        (lambda c: c["data"]["synthetic"]["split"].update(content={"a": 1}), f"{DATA}.split.digest"),
        (lambda c: c["data"]["synthetic"]["digest"].update(train="0" * 64), f"{DATA}.digest.train"),
        (lambda c: c["data"]["synthetic"]["digest"].update(val="0" * 64), f"{DATA}.digest.val"),
        (lambda c: c["data"]["synthetic"]["digest"].update(test="0" * 64), f"{DATA}.digest.test"),
        (lambda c: c["data"]["synthetic"]["digest"].update(more="0" * 64), f"{DATA}.digest.more"),
        (lambda c: c["data"]["synthetic"]["digest"].pop("train"), f"{DATA}.digest.train"),
        (lambda c: c["data"]["synthetic"]["frames"].update(more=1), f"{DATA}.frames.more"),
        (lambda c: c["data"]["synthetic"]["frames"].update(test=11), f"{DATA}.frames.test"),
        (lambda c: c["data"]["synthetic"]["frames"].update(val=7), "data.frames.val"),
        (lambda c: c["data"].update(more=c["data"]["synthetic"]), "data.more"),
        (lambda c: c["pipeline"].update(more=1), "pipeline.more"),
        (lambda c: c["pipeline"].pop("candidates"), "specs"),
        (lambda c: c["pipeline"].update(candidates="out-of-fold(2)"), "pipeline.candidates"),
        (lambda c: c["pipeline"].update(candidate_threshold=0.5), "pipeline.candidate_threshold"),
        (lambda c: c["pipeline"].update(choose_by="average-precision"), "pipeline.choose_by"),
        (lambda c: c["pipeline"].update(matcher="greedy"), "pipeline.matcher"),
        (lambda c: c["pipeline"].update(radius_um=8.0), "pipeline.radius_um"),
        (lambda c: c["pipeline"].update(processes=2), "pipeline.processes"),
        (lambda c: c["pipeline"].update(threads=9), "pipeline.threads"),
        (lambda c: c["pipeline"].pop("threads"), "pipeline.threads"),
        (lambda c: c["combination"].update(seed=5), "combination.seed"),
        (lambda c: c.update(device="cuda"), "device"),
        (lambda c: c["run"]["seconds"].update(more=1.0), "run.seconds.more"),
        (lambda c: c["plugins"]["detector"]["options"].update(most=41), "plugins.detector.options.most"),
        (lambda c: c["plugins"]["detector"]["options"].update(more=1), "plugins.detector.options.more"),
        (lambda c: c["plugins"]["detector"]["options"].pop("most"), "plugins.detector.options.most"),
        (lambda c: c["plugins"]["detector"].update(version="2"), "plugins.detector.version"),
        (lambda c: c["plugins"]["fuser"].update(source="0" * 64), "plugins.fuser.source"),
        (lambda c: c["plugins"]["detector"].update(variant={"most": 41}), "plugins.detector.variant.most"),
        (lambda c: c["plugins"].update(more=c["plugins"]["detector"]), "plugins.more"),
        (lambda c: c["plugins"].pop("estimator"), "plugins.estimator"),
        (lambda c: c.update(migrated=[{"schema_version": 1, "digest": ""}]), "specs"),
        (lambda c: c.update(migrated=[{"schema_version": 2, "digest": ""}]), "migrated"),
    ],
)
def test_a_contradiction_is_found(toy_records: list[Path], change: Change, where: str) -> None:
    assert where in wrong(toy_records[0], change)


@pytest.fixture(scope="module")
def probe_record(small_data: Path, tmp_path_factory: pytest.TempPathFactory, toy_environment: dict[str, str]) -> Path:
    """The record of a verifier on a frozen encoder, which has every kind of stage."""
    folder = tmp_path_factory.mktemp("probe")
    roles = {**tiny_runs.TOYS, "verifier": ["toy-probe"]}
    (path,) = tiny_runs.board(small_data, folder, toy_environment, roles=roles, seeds=[0])
    assert set(json.loads(path.read_text())["stages"]) == set(KINDS)
    return path


def test_the_record_of_a_frozen_encoder_does_not_contradict_itself(probe_record: Path) -> None:
    assert wrong(probe_record, lambda content: None) == set()


@pytest.mark.parametrize("role", sorted(KINDS))
def test_a_stage_cannot_be_left_out(probe_record: Path, role: str) -> None:
    assert wrong(probe_record, lambda c: c["stages"].pop(role))


@pytest.mark.parametrize("role", sorted(KINDS))
def test_a_stage_cannot_be_exchanged_for_another(probe_record: Path, role: str) -> None:
    def exchange(content: Content) -> None:
        content["stages"][role] = next(key for key in content["specs"] if key != content["stages"][role])

    assert wrong(probe_record, exchange)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda c: c["stages"].update(more=c["stages"]["fusion"]), "stages.more"),
        (lambda c: spec_of(c, "fusion")["settings"].update(matcher="greedy"), "pipeline.matcher"),
        (
            lambda c: spec_of(c, "verifier-scores-test")["settings"].update(candidate_threshold=0.5),
            "pipeline.candidate_t",
        ),
        (lambda c: spec_of(c, "verifier")["frames"].update(train="0" * 64), "data.synthetic.digest.train"),
        (lambda c: spec_of(c, "detections-test")["frames"].update(frames="0" * 64), "data.synthetic.digest.test"),
        (lambda c: spec_of(c, "detections-val")["frames"].update(frames="0" * 64), "specs."),
        (lambda c: spec_of(c, "evaluation")["settings"]["readers"].update(other=""), "data.other"),
        (lambda c: spec_of(c, "fusion")["upstream"].pop("verifier-scores"), "stages.verifier-scores-val"),
        (lambda c: spec_of(c, "detector").update(kind="fit-verifier"), "specs."),
        (lambda c: spec_of(c, "boxes")["settings"].pop("readers"), "specs"),
        (lambda c: spec_of(c, "boxes").update(plugin={}), "plugins.estimator.name"),
    ],
)
def test_a_contradiction_in_the_specs_is_found_though_their_keys_fit(
    toy_records: list[Path], change: Change, where: str
) -> None:
    assert any(path.startswith(where) for path in wrong(toy_records[0], change))


def test_a_key_that_is_not_the_digest_of_its_spec_is_found(toy_records: list[Path]) -> None:
    def change(content: Content) -> None:
        spec_of(content, "boxes")["settings"]["more"] = 1

    assert any(path.startswith("specs.") for path in wrong(toy_records[0], change, rekey=False))


def test_a_spec_that_no_stage_builds_on_is_found(toy_records: list[Path]) -> None:
    def add(content: Content) -> None:
        spec = {**spec_of(content, "boxes"), "settings": {"readers": {}}}
        content["specs"][canonical.digest(spec)] = spec

    (path,) = wrong(toy_records[0], add, rekey=False)
    assert path.startswith("specs.")


def test_a_verifier_that_verifies_nothing_has_no_options(core_records: dict[str, Path]) -> None:
    path = core_records["detector-only"]
    assert json.loads(path.read_text())["combination"]["verifier"] == "none"
    assert wrong(path, lambda c: c["plugins"]["verifier"]["options"].update(a=1)) == {"plugins.verifier.options.a"}


def test_out_of_fold_candidates_are_named(small_data: Path, tmp_path: Path, toys: dict[str, str]) -> None:
    (path,) = tiny_runs.run(tmp_path, small_data, sets=["pipeline.candidates=out-of-fold(2)"])
    assert wrong(path, lambda c: None) == set()
    for other in ("in-sample", "out-of-fold(3)"):
        assert wrong(path, lambda c, other=other: c["pipeline"].update(candidates=other)) == {"pipeline.candidates"}


def test_the_digest_of_a_file_is_the_one_among_the_options(toy_records: list[Path]) -> None:
    def add(content: Content) -> None:
        content["plugins"]["detector"]["files"] = {"most": {"name": "a.txt", "sha256": "0" * 64}}

    assert wrong(toy_records[0], add) == {"plugins.detector.options.most"}


@pytest.mark.parametrize("value", [None, [], "x", 1, {"a": None}])
@pytest.mark.parametrize("field", ["settings", "upstream", "frames", "plugin", "kind"])
def test_specs_of_any_form_end_in_no_traceback(toy_records: list[Path], field: str, value: Any) -> None:
    found = wrong(toy_records[0], lambda c: spec_of(c, "boxes").update({field: value}), rekey=False)
    assert found


def test_a_record_made_by_hand_lacks_its_stages() -> None:
    assert {"stages.fusion", "stages.evaluation"} <= {found.path for found in contradictions(ok())}
