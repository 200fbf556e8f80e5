"""`mitobench store`: lists what the store of runs holds, verifies it, and removes what was not used longest."""

from __future__ import annotations

import datetime
import json
import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.cli.options import Store as StoreOption
from mitobench.cli.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitobench.pipeline.store import Store
    from mitobench.pipeline.store_contents import Entry

app = typer.Typer(help="List, verify and clean the store, which keeps the outputs of runs.", no_args_is_help=True)

MAX_LINES = 40
UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([KMGT]?B)", re.IGNORECASE)


class Sort(str, Enum):
    """What a listing is sorted by."""

    USED = "used"
    SIZE = "size"
    KIND = "kind"


@app.command()
def ls(
    store: StoreOption = None,
    sort: Annotated[Sort, typer.Option(help="used: last used first; size: largest first; kind: by kind.")] = Sort.USED,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0, help=f"Number of lines; 0: all. Default: {MAX_LINES}, or all with --json.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with sizes in bytes.")] = False,
) -> None:
    """List what the store holds: size, kind, plugin, key and when it was last used.

    Besides the outputs of stages, by their kind, there are checkpoints of stages that were interrupted (`unfinished`),
    what killed processes left (`leftover`), and copies of files that options named (`file`).

    Example: mitobench store ls --sort size
    """
    from mitobench.pipeline.store_contents import entries

    found = _sorted(list(entries(opened := _store(store))), sort)
    limit = limit if limit is not None else 0 if as_json else MAX_LINES
    shown = found[:limit] if limit else found
    if as_json:
        echo(
            json.dumps(
                {"store": str(opened.root), "bytes": _total(found), "entries": [_json(e) for e in shown]}, indent=1
            ),
            lines=True,
        )
        return
    for entry in shown:
        echo(_line(entry))
    if len(shown) < len(found):
        echo(f"... and {len(found) - len(shown):,} more; --limit 0 shows all.")
    echo(f"{len(found):,} entries, {size_text(_total(found))}, in {opened.root}")


@app.command()
def verify(
    store: StoreOption = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete what is corrupt; its stages run again.")] = False,
) -> None:
    """Read every byte of the store and compare it with its digests. Names each corrupt output.

    Exit code 1: something is corrupt, and was not deleted.

    Example: mitobench store verify
    """
    from mitobench.pipeline.store_contents import entries, problem_of, remove

    opened, n_checked, left = _store(store), 0, 0
    for entry in entries(opened):
        problem, n_checked = problem_of(entry), n_checked + 1
        if problem is None:
            continue
        gone = delete and remove(opened, entry)
        left += not gone
        held = " It is in use, and was not deleted." if delete and not gone else ""
        echo(f"{'deleted' if gone else 'CORRUPT'} {entry.path}: {problem}.{held}", err=True)
    echo(f"{n_checked:,} entries verified in {opened.root}. {f'{left:,} are corrupt' if left else 'None is corrupt'}.")
    if left:
        raise typer.Exit(1)


@app.command()
def gc(
    keep: Annotated[str, typer.Option(help="How much may stay, for example 50GB, 500MB or 0B.")],
    store: StoreOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed, and remove nothing.")] = False,
) -> None:
    """Remove what was not used for the longest time, until at most --keep is left.

    An output counts as used when a run writes it or reads it. What a running process holds, or what was used since the
    oldest of them began, is never removed. Removed outputs are computed again when they are needed.

    Exit code 1: more than --keep is left, because it is in use.

    Example: mitobench store gc --keep 50GB --dry-run
    """
    from mitobench.pipeline.store_contents import InUse, entries, excess, remove

    limit, opened = size_of(keep), _store(store)
    found = list(entries(opened))
    chosen = excess(found, limit, InUse.of(opened))
    removed: list[Entry] = []
    for entry in chosen:
        line = _line(entry) if len(removed) < MAX_LINES else None  # read before it is gone
        if dry_run or remove(opened, entry):
            removed.append(entry)
            if line is not None:
                echo(line)
    if len(removed) > MAX_LINES:
        echo(f"... and {len(removed) - MAX_LINES:,} more.")
    left = _total(found) - _total(removed)
    verb = "Would remove" if dry_run else "Removed"
    echo(f"{verb} {len(removed):,} entries, {size_text(_total(removed))}. {size_text(left)} stay in {opened.root}.")
    if left > limit:
        echo(f"That is more than {keep}: the rest is in use.", err=True)
        raise typer.Exit(1)


def size_of(text: str) -> int:
    """Returns the bytes of `50GB`. Raises BadParameter for another form."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"--keep {text}: must be a number with a unit ({', '.join(UNITS)}), for example 50GB.")
    return int(float(found[1]) * UNITS[found[2].upper()])


def size_text(size: int) -> str:
    """Returns a number of bytes in words: `1.4 GB`."""
    unit = next(name for name in reversed(UNITS) if size >= UNITS[name] or name == "B")
    return f"{size} B" if unit == "B" else f"{size / UNITS[unit]:.1f} {unit}"


def _store(folder: Path | None) -> Store:
    from mitobench.pipeline.store import Store, default_store

    return Store(folder or default_store())


def _sorted(found: Sequence[Entry], sort: Sort) -> list[Entry]:
    keys = {
        Sort.USED: lambda entry: (-entry.used_ns, entry.kind, entry.key),
        Sort.SIZE: lambda entry: (-entry.size, entry.kind, entry.key),
        Sort.KIND: lambda entry: (entry.kind, -entry.used_ns, entry.key),
    }
    return sorted(found, key=keys[sort])


def _total(found: Sequence[Entry]) -> int:
    return sum(entry.size for entry in found)


def _line(entry: Entry) -> str:
    size = size_text(entry.size)
    return f"{_used(entry):%Y-%m-%d %H:%M}  {size:>9}  {entry.key[:10]}  {entry.kind} {entry.plugin()}".rstrip()


def _json(entry: Entry) -> dict[str, object]:
    return {
        "kind": entry.kind,
        "plugin": entry.plugin(),
        "key": entry.key,
        "bytes": entry.size,
        "used": _used(entry).isoformat(timespec="seconds"),
    }


def _used(entry: Entry) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(entry.used_ns / 1e9, datetime.timezone.utc)
