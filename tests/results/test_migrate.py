"""Records of version 1 are migrated with their numbers, or stay unchanged with a reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mitobench.errors import MitobenchError, RecordError
from mitobench.pipeline import canonical
from mitobench.results import record as records
from mitobench.results.check import check
from mitobench.results.folder import check_all
from mitobench.results.local_datasets import LocalDatasets
from mitobench.results.migrate import migrate, migrate_folder
from mitobench.results.schema import SCHEMA_VERSION

pytestmark = pytest.mark.slow

VERSION_1 = Path(__file__).parent / "version1"  # a record of synthetic frames, as version 1 wrote it
EQUAL = ("tp", "fp", "fn", "precision", "recall", "f1", "oracle_f1", "average_precision", "froc", "recall_ceiling")


@pytest.fixture(scope="module")
def synthetic_frames() -> LocalDatasets:
    return LocalDatasets(None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(VERSION_1, tmp_path / "records"))


def only(folder: Path) -> Path:
    (path,) = folder.glob("*.json")
    return path


def reseal(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a record of version 1, with the digests that version 1 gave it."""
    content = json.loads(path.read_text())
    change(content)
    inside = {name: value for name, value in content.items() if name not in ("run", "digest", "run_digest")}
    content |= {"digest": canonical.digest(inside), "run_digest": canonical.digest(content["run"])}
    path.write_text(json.dumps(content, sort_keys=True, indent=1) + "\n")


def test_a_record_of_version_1_keeps_its_numbers_and_its_digest(folder: Path) -> None:
    old = json.loads(only(folder).read_text())
    done = migrate_folder(folder, None)
    assert (done.problems, done.current) == ([], 0)
    assert done.migrated == [only(folder)], "the old files are gone"
    new = json.loads(only(folder).read_text())
    assert new["schema_version"] == SCHEMA_VERSION
    assert new["migrated"] == [{"schema_version": 1, "digest": old["digest"]}]
    for part in ("test", "detector_alone"):
        assert {name: new[part][name] for name in EQUAL} == {name: old[part][name] for name in EQUAL}
    assert new["chosen"]["candidate_threshold"] == old["chosen"]["gate"]
    assert new["chosen"]["point"]["threshold"] == old["chosen"]["point"]["threshold"]
    assert new["training_info"] == old["fitted"]
    assert new["validation"]["average_precision"] is None, "no detections on validation were stored"
    assert "seconds" in new["run"]
    assert "/" not in new["run"]["command"]


def test_a_migrated_record_passes_with_and_without_annotation(folder: Path, synthetic_frames: LocalDatasets) -> None:
    migrate_folder(folder, None)
    assert check(only(folder)).problems == []
    checks = check_all([only(folder)], synthetic_frames.folder("synthetic"))
    assert (checks.problems, checks.matched) == ([], 1)
    assert migrate_folder(folder, None).current == 1, "a second time nothing is done"


def test_the_command_says_why_a_record_was_not_migrated_beside_others_that_were(
    folder: Path, tmp_path: Path, mitobench: Callable[..., Any]
) -> None:
    path = only(folder)
    shutil.copytree(folder, folder / "below")
    reseal(path, lambda content: content["test"].update(average_precision=0.99))
    answer = mitobench("leaderboard", "migrate", folder.parent)
    assert answer.code == 1
    assert "1 migrated, 0 had this version already." in answer.out
    assert f"{path}: " in answer.err
    assert "average_precision" in answer.err
    assert "1 record left out of" in answer.err


def test_a_forged_number_of_version_1_is_not_migrated(folder: Path) -> None:
    path = only(folder)
    reseal(path, lambda content: content["test"].update(average_precision=0.99))
    before = path.read_bytes()
    done = migrate_folder(folder, None)
    assert "test.average_precision was 0.99; matched with the annotation it is" in done.problems[0]
    assert path.read_bytes() == before


def test_a_record_that_was_altered_is_named(folder: Path, synthetic_frames: LocalDatasets) -> None:
    path = only(folder)
    path.write_text(path.read_text().replace('"seed": 2', '"seed": 3'))
    with pytest.raises(RecordError, match="changed after it was written"):
        migrate(path, synthetic_frames)


def test_a_record_whose_frames_changed_since_is_named(folder: Path, synthetic_frames: LocalDatasets) -> None:
    reseal(only(folder), lambda content: content["data"]["synthetic"]["digest"].update(test="0" * 64))
    with pytest.raises(MitobenchError, match="are not those of the record"):
        migrate(only(folder), synthetic_frames)


@pytest.mark.parametrize("version", [0, 7, "1", None, True])
def test_a_version_without_a_migration_is_named(folder: Path, synthetic_frames: LocalDatasets, version: object) -> None:
    path = only(folder)
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": version}))
    with pytest.raises(RecordError, match="schema version"):
        migrate(path, synthetic_frames)


def test_an_incomplete_record_is_named(folder: Path, synthetic_frames: LocalDatasets) -> None:
    reseal(only(folder), lambda content: content.pop("pipeline"))
    with pytest.raises(RecordError, match="not a complete record of version 1"):
        migrate(only(folder), synthetic_frames)


def test_a_reader_says_how_to_migrate(folder: Path) -> None:
    with pytest.raises(RecordError, match="mitobench leaderboard migrate --data DIR"):
        records.read(only(folder))


def test_the_command_migrates_and_builds(folder: Path, mitobench: Callable[..., Any]) -> None:
    answer = mitobench("leaderboard", "migrate", folder.parent)
    assert answer.code == 0, answer.err
    assert "1 migrated, 0 had this version already" in answer.out
    assert (folder.parent / "LEADERBOARD.md").is_file()
    answer = mitobench("leaderboard", "check", folder.parent)
    assert answer.code == 0, answer.err


def test_detections_that_cannot_be_read_are_named(folder: Path, synthetic_frames: LocalDatasets) -> None:
    path = only(folder)
    packed = path.with_name(json.loads(path.read_text())["detections"]["file"])
    packed.write_bytes(b"no gzip")
    with pytest.raises(RecordError, match="cannot be read"):
        migrate(path, synthetic_frames)
