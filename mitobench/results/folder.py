"""Checks many records together, and adds records to a folder when nothing is wrong with them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mitobench import foreign
from mitobench.errors import MitobenchError, RecordError, counted
from mitobench.file_cache import computing_anew
from mitobench.foreign import limits, printable
from mitobench.results import archive
from mitobench.results.check import RecordCheck, check, check_unless_known
from mitobench.results.claims import Claims, archive_orphans, claims, entries_of
from mitobench.results.known import known_records
from mitobench.results.local_datasets import LocalDatasets, wrong_annotation
from mitobench.results.mismatch import Mismatch
from mitobench.results.recompute import Recomputation
from mitobench.results.record import ENDINGS, read, read_good, text_of, write_together
from mitobench.results.record_files import doubled, files, forms_of, pack, record_files, stem_of
from mitobench.results.schema import SCHEMA_VERSION, DetectionsEntry, Record

MAX_CHARACTERS = 100  # shown of one value


@dataclass
class CheckReport:
    """What was checked, and what is wrong.

    Attributes:
        records: the check of each record.
        folder_problems: what is wrong with the records together, one line each: a file of detections without a record,
            a folder without records, one evaluation under two names, a migrated record from elsewhere.
        matched: number of records whose detections were matched with the annotation again.
        missing_data: data sets of records that are not below the folder of the data.
    """

    records: list[RecordCheck] = field(default_factory=list)
    folder_problems: list[str] = field(default_factory=list)
    matched: int = 0
    missing_data: set[str] = field(default_factory=set)

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong, one line each."""
        return [*(problem for result in self.records for problem in result.problems), *self.folder_problems]


def check_all(
    paths: Iterable[Path], data: Path | None = None, target: Path | None = None, anew: bool = False
) -> CheckReport:
    """Check records. Without data, those that were checked before and have not changed since are not checked again.

    Args:
        paths: their files.
        data: folder that holds data sets, at any depth: detections on those are matched with the annotation again.
            None: none are.
        target: folder of records that these will be added to, if any. They must then also agree with the records there,
            and a migrated record is refused unless an equal one is there: it can only be migrated here.
        anew: check all again.
    """
    report = CheckReport()
    local = None if data is None else LocalDatasets(data)

    def compare_with_annotation(recomputation: Recomputation) -> Iterable[Mismatch]:
        name = recomputation.record.combination["dataset"]
        if local is None or not local.has(name):
            report.missing_data |= {name} if local else set()
            return ()
        report.matched += 1
        return wrong_annotation(recomputation, local)

    if anew or data is not None:
        report.records = [check(path, compare_with_annotation) for path in paths]
    else:
        with known_records() as known:
            report.records = [check_unless_known(path, known) for path in paths]
    read_here = [(result.path, result.record) for result in report.records if result.record]
    present = read_good(target)[0] if target else []
    report.folder_problems += [
        *doubled(result.path for result in report.records),
        *_same_evaluation([*present, *read_here]),
    ]
    if target:
        report.folder_problems += _migrated_elsewhere(read_here, {record.digest for _, record in present}, target)
    return report


@computing_anew()
def check_folder(folder: Path, data: Path | None = None, anew: bool = False) -> CheckReport:
    """Check every record of a folder and its subfolders, and that every file of detections belongs to one of them.

    Digests of the files in `data` are computed anew. `anew` as for `check_all`.

    A folder without a record is a problem, too: a misspelled path would otherwise pass.
    """
    paths = record_files(folder)
    report = check_all(paths, data, anew=anew)
    if not paths:
        report.folder_problems.append(
            f"{folder}: holds no record, so there is nothing to check. Add one, or give another folder."
        )
    belonging = {path.with_name(f"{stem_of(path)}{ending}") for path in paths for ending in ENDINGS.values()}
    for path in files(folder, ".csv.gz"):
        if path not in belonging:
            report.folder_problems.append(
                f"{path}: belongs to no record here. Remove it, or put its record next to it."
            )
    claimed = claims((result.path, result.record) for result in report.records if result.record)
    report.folder_problems += _archived_without_record(folder, claimed)
    return report


def _archived_without_record(folder: Path, claimed: Claims) -> Iterator[str]:
    """Yields a problem for each archive that is damaged, was renamed, or has detections of no record next to it."""
    for found in files(folder, archive.ENDING):
        try:
            others, original = archive_orphans(found, claimed), archive.is_original(found)
        except RecordError as reason:
            yield str(reason)
            continue
        if not original:
            yield (
                f"{found}: is a copy, or was renamed: its name does not end with the digest of its content. Run "
                "`mitobench leaderboard pack`, which names it anew, or removes it if the original is here."
            )
        if others:
            yield (
                f"{found}: has {counted(len(others), 'file')} of detections that no record next to it claims, the "
                f"first: {printable(others[0], MAX_CHARACTERS)}. Put the records there, or run `mitobench leaderboard "
                "pack`, which leaves them out."
            )


def _migrated_elsewhere(records: Iterable[tuple[Path, Record]], present: set[str], target: Path) -> Iterator[str]:
    """Yields a problem for each migrated record whose digest is not among those present.

    A migrated record has no detections on validation, so that any record could be passed off as one whose threshold
    need not be recomputed.
    """
    for path, record in records:
        if record.migrated and record.digest not in present:
            version = record.migrated[-1].schema_version
            yield (
                f"{path}: was migrated from schema version {version} to {SCHEMA_VERSION} elsewhere, which cannot be "
                f"verified. Put its files of version {version} into {target} and run `mitobench leaderboard migrate`."
            )


# ------------------------------------------------------------------------------------ one evaluation, two identities


def _same_evaluation(records: Iterable[tuple[Path, Record]]) -> Iterator[str]:
    """Yields a problem for each record whose evaluation has the key of another record's, but that claims other work."""
    first: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path, record in records:
        key = record.stages.get("evaluation")
        if key is None:
            continue
        work = _work(record)
        other_path, other = first.setdefault(key, (path, work))
        differing = [name for name in {**other, **work} if work.get(name) != other.get(name)]
        if differing:
            name = differing[0]
            here, there = (printable(found.get(name), MAX_CHARACTERS) for found in (work, other))
            yield (
                f"{path}: has the stages of {other_path.name}, but its {name} is {here}, not {there}. "
                "One of the two was changed: remove it."
            )


def _work(record: Record) -> dict[str, Any]:
    """Returns what a record says about everything that decides its evaluation, by name.

    If nothing was fitted, neither the seed nor the training data decide anything.
    """
    stages, roles = record.stages, ["detector", "verifier", "fuser"]
    roles += ["estimator"] if "boxes" in stages else []
    fitted = bool({"detector", "verifier"} & stages.keys())
    names = ["dataset", "protocol", *roles, *(["seed", "train_on"] if fitted else [])]
    pipeline = ["candidate_threshold", "matcher", "radius_um"]
    pipeline += ["processes"] if fitted else []
    pipeline += ["candidates"] if {"detector", "verifier"} <= stages.keys() else []
    tested = record.combination["dataset"]
    digests = {(name, part): digest for name, entry in record.data.items() for part, digest in entry.digest.items()}
    return {
        **{name: record.combination[name] for name in names},
        **{f"options of the {role}": record.plugins[role].options for role in roles if role in record.plugins},
        **{f"pipeline.{name}": record.pipeline.get(name) for name in pipeline},
        **{
            f"data.{name}.digest.{part}": digest
            for (name, part), digest in digests.items()
            if fitted or (name, part) == (tested, "test")
        },
    }


# ------------------------------------------------------------------------------------------------- adding records


@dataclass(frozen=True)
class AddedRecord:
    """A record that was to be added.

    Attributes:
        path: where it was read.
        target: where it is now; if an equal record was there before, that one.
        already_there: whether an equal record was there before, so that nothing was copied.
        conflicting: records of the same identity with other numbers, which stay.
    """

    path: Path
    target: Path
    already_there: bool
    conflicting: Sequence[Path]


def find(paths: Iterable[Path]) -> list[Path]:
    """Returns the files of the records that paths stand for.

    Args:
        paths: records, files or archives of their detections, or folders: all records in them, or in their subfolder
            `records`.

    Raises RecordError for a path that does not exist or holds no record.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            inside = path / "records" if (path / "records").is_dir() else path
            records = record_files(inside)
        elif path.name.endswith(archive.ENDING):
            names = archive.read(path)
            records = [
                one
                for one in record_files(path.parent, below=False)
                if any(f"{stem_of(one)}{ending.removesuffix(archive.PACKED)}" in names for ending in ENDINGS.values())
            ]
        else:
            ending = next((ending for ending in ENDINGS.values() if path.name.endswith(ending)), "")
            forms = forms_of(path.parent, path.name.removesuffix(ending)) if ending else [path]
            records = [form for form in forms if form.is_file()][:1]
        if not records:
            raise RecordError(f"{path}: holds no record. Give a record (.json or .json.gz), or a folder of them.")
        found |= {record.resolve(): record for record in records}
    return list(found.values())


def add_records(paths: Sequence[Path], folder: Path) -> list[AddedRecord]:
    """Copy checked records with their detections into a folder; a record that cannot be copied leaves no file.

    If the folder has a record of the same identity with other numbers, the new one goes into a subfolder named by its
    digest: a leaderboard shows both. Raises RecordError if the record that is there is broken, MitobenchError if a file
    cannot be written.
    """
    added: list[AddedRecord] = []
    for path in paths:
        try:
            added.append(_add(path, folder))
        except MitobenchError as reason:
            copied = counted(sum(not one.already_there for one in added), "record")
            raise type(reason)(
                f"{reason} Added before it: {copied}, which the same command will find there."
            ) from reason
    return added


def _add(path: Path, folder: Path) -> AddedRecord:
    record = read(path)
    others = [other for other in record_files(folder) if stem_of(other) == record.stem]
    for other in others:
        if read(other).digest == record.digest:
            return AddedRecord(path, other, True, ())
    target = (folder / record.digest[:10] if others else folder) / path.name
    content = foreign.read_bytes(path, limits.MAX_RECORD_BYTES, "record", RecordError)
    detections = {target.with_name(entry.file): _packed(path, entry) for entry in entries_of(record)}
    try:
        write_together({target: content, **detections})
    except BaseException:
        for copy in detections:
            copy.unlink(missing_ok=True)
        raise
    return AddedRecord(path, target, False, others)


def _packed(path: Path, entry: DetectionsEntry) -> bytes:
    """Returns the bytes of a record's file of detections; made again if they are in an archive."""
    source = path.with_name(entry.file)
    if source.is_file():
        return foreign.read_bytes(source, limits.MAX_PACKED_BYTES, "record's detections", RecordError)
    packed = pack(text_of(path, entry).encode())
    if hashlib.sha256(packed).hexdigest() != entry.packed:
        raise RecordError(
            f"{path}: its detections are in an archive, and this Python packs them into other bytes than the record "
            "has. Copy the folder with its archives instead."
        )
    return packed
