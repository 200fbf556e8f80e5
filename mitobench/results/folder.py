"""Many records checked together, and taken into a folder when nothing is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mitobench import foreign
from mitobench.atomic import write_whole
from mitobench.errors import RecordError
from mitobench.foreign import limits
from mitobench.results.check import Checked, check
from mitobench.results.copies import Copies, wrong_annotation
from mitobench.results.difference import Difference
from mitobench.results.recompute import Recomputed
from mitobench.results.record import ENDINGS, read, read_good
from mitobench.results.schema import Record


@dataclass
class Checks:
    """What was checked, and what is wrong.

    Attributes:
        records: each record's check.
        folder: what is wrong with the records together, one line each: files of detections that belong to no record,
            no record at all, one piece of work under two names.
        matched: number of records whose detections were matched afresh.
        not_here: data sets of records that are not below the folder of the data.
    """

    records: list[Checked] = field(default_factory=list)
    folder: list[str] = field(default_factory=list)
    matched: int = 0
    not_here: set[str] = field(default_factory=set)

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong, one line each."""
        return [*(problem for checked in self.records for problem in checked.problems), *self.folder]


def check_all(paths: Iterable[Path], data: Path | None = None, there: Path | None = None) -> Checks:
    """Check records.

    Args:
        paths: their .json files.
        data: holds data sets at any depth: detections on those are matched afresh. None: nothing is.
        there: folder of records that they will lie beside.
    """
    done = Checks()
    copies = None if data is None else Copies(data)

    def against(recomputed: Recomputed) -> Iterable[Difference]:
        name = recomputed.record.combination["dataset"]
        if copies is None or not copies.has(name):
            done.not_here |= {name} if copies else set()
            return ()
        done.matched += 1
        return wrong_annotation(recomputed, copies)

    done.records = [check(path, against) for path in paths]
    beside, _ = read_good(there) if there else ([], [])
    done.folder += _same_work([*beside, *((item.path, item.record) for item in done.records if item.record)])
    return done


def _same_work(records: Iterable[tuple[Path, Record]]) -> Iterator[str]:
    """Records that claim one piece of work under two names: a copy in which a part was renamed."""
    first: dict[str, tuple[Path, list[str]]] = {}
    for path, record in records:
        key = record.stages.get("evaluation")
        if key is None:
            continue
        named = _work(record)
        other_path, other = first.setdefault(key, (path, named))
        if other != named:
            yield (
                f"{path}: has the stages of {other_path.name}, but is of {' + '.join(named)}, not "
                f"{' + '.join(other)}. One of the two was renamed: remove it."
            )


def _work(record: Record) -> list[str]:
    """What a record names of that which decides its evaluation: the seed only if anything was fitted."""
    names = ["dataset", "protocol", "detector", "verifier", "fuser"]
    names += ["estimator"] if "boxes" in record.stages else []
    names += ["seed", "train_on"] if {"detector", "verifier"} & record.stages.keys() else []
    return [f"{name} {record.combination[name]}" for name in names]


def check_folder(folder: Path, data: Path | None = None) -> Checks:
    """Check every record of a folder and its subfolders, and that no file of detections lies there alone.

    A folder without a record is a problem too: of nothing there is nothing to say.
    """
    paths = sorted(folder.rglob("*.json"))
    done = check_all(paths, data)
    if not paths:
        done.folder.append(f"{folder}: holds no record, so that there is nothing to check. Add one, or give another.")
    claimed = {path.with_name(f"{path.stem}{ending}") for path in paths for ending in ENDINGS.values()}
    for path in sorted(folder.rglob("*.csv.gz")):
        if path not in claimed:
            done.folder.append(f"{path}: belongs to no record here. Remove it, or put its record beside it.")
    return done


# ---------------------------------------------------------------------------------------------------- taking in


@dataclass(frozen=True)
class AddedRecord:
    """A record that was asked to be taken in.

    Attributes:
        path: where it was.
        target: where it is now; where the equal one is that was there before, if `there`.
        there: an equal one was there already, and nothing was copied.
        beside: others of the same identity with other numbers, which stay.
    """

    path: Path
    target: Path
    there: bool
    beside: Sequence[Path]


def find(paths: Iterable[Path]) -> list[Path]:
    """The records that files and folders stand for; a folder for all records in it, or in its `records`.

    Raises RecordError for what is not there, or holds no record.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            inside = path / "records" if (path / "records").is_dir() else path
            records = sorted(inside.rglob("*.json"))
        else:
            ending = next((ending for ending in ENDINGS.values() if path.name.endswith(ending)), "")
            named = f"{path.name.removesuffix(ending)}.json" if ending else path.name
            records = [path.with_name(named)] if path.with_name(named).is_file() else []
        if not records:
            raise RecordError(f"{path}: holds no record. Give a record's .json file, or a folder of them.")
        found |= {record.resolve(): record for record in records}
    return list(found.values())


def take(paths: Sequence[Path], folder: Path) -> list[AddedRecord]:
    """Copy records that were checked, with their detections, into a folder: each whole or not at all.

    A record of an identity that is there with other numbers goes to a subfolder named by its digest: both are shown.
    Raises RecordError where the one that is there is broken, MitobenchError where it cannot be written.
    """
    return [_take(path, folder) for path in paths]


def _take(path: Path, folder: Path) -> AddedRecord:
    record = read(path)
    others = sorted(folder.rglob(f"{record.stem}.json"))
    for other in others:
        if read(other).digest == record.digest:
            return AddedRecord(path, other, True, ())
    target = (folder / record.digest[:10] if others else folder) / path.name
    entries = (record.detections, record.validation_detections)
    beside = {path.with_name(entry.file): target.with_name(entry.file) for entry in entries if entry}
    try:
        for source, copy in beside.items():
            packed = foreign.read_bytes(source, limits.MAX_PACKED_BYTES, "record's detections", RecordError)
            write_whole(copy, packed)
        write_whole(target, foreign.read_bytes(path, limits.MAX_RECORD_BYTES, "record", RecordError))
    except BaseException:
        for copy in beside.values():
            copy.unlink(missing_ok=True)
        raise
    return AddedRecord(path, target, False, others)
