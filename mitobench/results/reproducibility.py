"""Compares two records of one combination that were made at different times, and lists what changed in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mitobench.errors import MitobenchError
from mitobench.evaluate import Difference, Metrics, paired_difference
from mitobench.evaluate.summary import ADDED
from mitobench.results.current_names import current_options
from mitobench.results.record import ENDINGS
from mitobench.results.resource_estimate import threads
from mitobench.results.schema import DetectionsEntry, Record

Verdict = Literal["equal", "within seed noise", "different"]

# Fields with results; all other fields say from what, where and when they were computed.
COMPUTED = ("status", "reason", "chosen", "validation", "test", "detector_alone", "boxes", "training_info")
HOST = ("system", "accelerator")

REPEATABLE = "cpu"  # on this device the same work gives the same bits


@dataclass(frozen=True)
class Reproducibility:
    """How a record compares with the one that running it again gave.

    Attributes:
        verdict: `equal`: all results are equal to the last bit, detections included. `within seed noise`: they are
            not, but the difference of F1 is within the noise given by `difference` or `spread`. `different`: it is
            not, or nothing changed on a CPU, where there is no noise.
        recorded, again: the two records; `again` is None if nothing was run.
        reasons: why nothing was run, one line each.
        differing: names of the fields that are not equal.
        changed: versions, data, sources and options of plugins, device and threads that changed; then notes.
        difference: new F1 minus recorded F1, paired on the same slides or frames; None if undefined.
        spread: highest minus lowest F1 over the other seeds of the series; None for fewer than two.
    """

    verdict: Verdict
    recorded: Record
    again: Record | None = None
    reasons: Sequence[str] = ()
    differing: Sequence[str] = ()
    changed: Sequence[str] = ()
    difference: Difference | None = None
    spread: float | None = None

    @classmethod
    def refused(cls, recorded: Record, reasons: Sequence[str]) -> Reproducibility:
        """Returns the verdict `different` for a record that was not run."""
        return cls("different", recorded, reasons=reasons)


def reproducibility(recorded: Record, again: Record, series: Sequence[Record] = ()) -> Reproducibility:
    """Compare a record with the one that running it again gave.

    Noise is what other seeds, or other frames of the same kind, would change. The difference of F1 is within it if its
    paired interval (95 %) contains 0, or if it does not exceed the spread of F1 over other seeds. On a CPU there is no
    noise unless something changed; notes do not count as changes, as anybody can write one.

    Args:
        recorded, again: the two records.
        series: records that differ from `recorded` in their seed only. They are not verified. `recorded` itself is
            left out of the spread.
    """
    differing = differing_results(recorded, again)
    differing += [name for name in ENDINGS if _sha256(recorded, name) != _sha256(again, name)]
    difference, spread = _difference(recorded, again), _spread(recorded, series)
    changed = list(_changed(recorded, again))
    verdict: Verdict = "different"
    if not differing:
        verdict = "equal"
    elif difference is not None and (changed or recorded.device != REPEATABLE):
        inside = difference.low <= 0 <= difference.high or abs(difference.delta) <= (spread or 0)
        verdict = "within seed noise" if inside else "different"
    changed += _notes_changed(recorded, again)
    return Reproducibility(verdict, recorded, again, (), differing, changed, difference, spread)


def differing_results(one: Record, other: Record) -> list[str]:
    """Returns the fields of `COMPUTED` in which two records differ.

    Scores that only one of them has because the other was made by an earlier mitobench (`summary.ADDED`) do not count:
    they follow from the others.
    """
    return [name for name in COMPUTED if not _equal(getattr(one, name), getattr(other, name))]


def _equal(one: Any, other: Any) -> bool:
    if not (isinstance(one, Metrics) and isinstance(other, Metrics)):
        return bool(one == other)
    a, b = one.model_dump(), other.model_dump()
    later = {name for name in ADDED if (name in a) != (name in b)}
    return {**a, **dict.fromkeys(later)} == {**b, **dict.fromkeys(later)}


def _sha256(record: Record, name: str) -> str | None:
    entry: DetectionsEntry | None = getattr(record, name)
    return entry.sha256 if entry else None


def _difference(recorded: Record, again: Record) -> Difference | None:
    if recorded.test is None or again.test is None:
        return None
    try:
        return paired_difference(again.test.frames, recorded.test.frames)
    except MitobenchError:  # the frames differ, or the mitoses on them
        return None


def _spread(recorded: Record, series: Sequence[Record]) -> float | None:
    f1 = {record.combination["seed"]: record.test.f1 for record in series if record.test and record.test.f1 is not None}
    f1.pop(recorded.combination["seed"], None)
    return max(f1.values()) - min(f1.values()) if len(f1) > 1 else None


def _changed(recorded: Record, again: Record) -> Iterator[str]:
    """Yields what changed of data, versions, plugins and machine, one line each."""
    yield from _items("version of", recorded.versions, again.versions)
    yield from _items("", {"device": recorded.device}, {"device": again.device})
    hosts = [
        {"threads": threads(record), **{name: record.run.host.get(name) for name in HOST}}
        for record in (recorded, again)
    ]
    yield from _items("", *hosts)
    digests = [
        {f"{name}, {part}": digest[:12] for name, entry in record.data.items() for part, digest in entry.digest.items()}
        for record in (recorded, again)
    ]
    yield from _items("data of", *digests)
    for role in sorted(recorded.plugins.keys() | again.plugins.keys()):
        yield from _items(role, _plugin(recorded, role), _plugin(again, role))
    yield from _items("pipeline", *({**record.pipeline, "threads": 0} for record in (recorded, again)))


def _notes_changed(recorded: Record, again: Record) -> Iterator[str]:
    for note in _notes(recorded) ^ _notes(again):
        yield f"note: only {'then' if note in recorded.notes else 'now'}: {note!r}"


def _plugin(record: Record, role: str) -> dict[str, Any]:
    entry = record.plugins.get(role)
    if entry is None:
        return {}
    return {"name": entry.name, "version": entry.version, "source": entry.source[:12], **current_options(role, entry)}


def _notes(record: Record) -> set[str]:
    """Returns the notes without the one on shortened schedules, which are among the options."""
    return {note for note in record.notes if not note.startswith("schedules shortened")}


def _items(what: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(then.keys() | now.keys()):
        before, after = then.get(name, "absent"), now.get(name, "absent")
        if before != after:
            yield f"{what} {name}: {before} then, {after} now".strip()
