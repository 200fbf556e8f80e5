"""What a store holds: sizes, last uses, what is corrupt; the least recently used go first, never what is in use."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mitobench.pipeline import canonical, lease
from mitobench.pipeline.lease import Lease
from mitobench.pipeline.saved_files import MANIFEST
from mitobench.pipeline.store import Store
from mitobench.pipeline.store_contents import Entry, InUse, entries, excess, remove

OLD = 1_500_000_000 * 10**9  # ns
SECOND = 10**9


def write(store: Store, name: str, used_ns: int, size: int = 1000) -> Path:
    """Writes an output of a plugin called `name`, and sets when it was last used."""
    spec = {"kind": "detections", "plugin": {"name": name}}
    with store.write("detections", canonical.digest(spec), spec) as folder:
        (folder / "scores").write_bytes(bytes(size))
    manifest = store.root / "stages" / "detections" / canonical.digest(spec) / MANIFEST
    os.utime(manifest, ns=(used_ns, used_ns))
    return manifest.parent


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three outputs, of which `a` was used first and `c` last."""
    opened = Store(tmp_path / "store").open()
    for name, place in (("c", 2), ("a", 0), ("b", 1)):
        write(opened, name, OLD + place * SECOND, 1000 * (place + 1))
    return opened


def names(found: list[Entry]) -> list[str]:
    return [entry.plugin() for entry in found]


def test_every_output_is_listed_with_its_size_and_last_use(store: Store) -> None:
    found = sorted(entries(store), key=lambda entry: entry.used_ns)
    assert names(found) == ["a", "b", "c"]
    assert [entry.used_ns - OLD for entry in found] == [0, SECOND, 2 * SECOND]
    assert all(entry.size == sum(f.stat().st_size for f in entry.path.iterdir()) for entry in found)


def test_reading_an_output_counts_as_a_use_and_changes_no_key(store: Store) -> None:
    first = min(entries(store), key=lambda entry: entry.used_ns)
    content = (first.path / MANIFEST).read_bytes()
    assert store.get(first.kind, first.key) is not None
    assert names(excess(list(entries(store)), 0, InUse.of(store)))[-1] == "a"
    assert (first.path / MANIFEST).read_bytes() == content


def test_checkpoints_leftovers_and_files_are_listed_too(store: Store) -> None:
    (store.work("key") / "checkpoint").write_bytes(bytes(10))
    (store.root / "tmp" / "key-1234").mkdir()
    (store.root / "files").mkdir()
    (store.root / "files" / "digest").write_bytes(bytes(7))
    others = {entry.kind: entry.size for entry in entries(store) if not entry.is_output}
    assert others == {"unfinished": 10, "leftover": 0, "file": 7}


def test_the_least_recently_used_go_first_until_enough_are_gone(store: Store) -> None:
    found = list(entries(store))
    total = sum(entry.size for entry in found)
    assert names(excess(found, total, InUse.of(store))) == []
    assert names(excess(found, total - 1, InUse.of(store))) == ["a"]
    assert names(excess(found, 0, InUse.of(store))) == ["a", "b", "c"]


def test_what_a_running_process_used_stays(store: Store) -> None:
    with store.in_use():
        write(store, "d", OLD + 60 * SECOND)
        (used,) = [entry for entry in entries(store) if entry.plugin() == "b"]
        store.get(used.kind, used.key)
        assert names(excess(list(entries(store)), 0, InUse.of(store))) == ["a", "c", "d"]
    assert len(excess(list(entries(store)), 0, InUse.of(store))) == 4


def test_a_stage_that_is_running_keeps_its_checkpoints(store: Store) -> None:
    checkpoint = store.work("key") / "checkpoint"
    checkpoint.write_bytes(bytes(10))
    os.utime(checkpoint, ns=(OLD, OLD))
    (entry,) = [entry for entry in entries(store) if entry.kind == "unfinished"]
    with store.lease("key"):
        assert entry not in excess(list(entries(store)), 0, InUse.of(store))
        assert not remove(store, entry)
    assert remove(store, entry)
    assert not checkpoint.exists()


def test_a_lease_of_another_machine_counts_as_held(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(lease, "machine", lambda: "another machine")
        there = Lease(store.root / "leases" / "key")
    there.acquire()
    assert InUse.of(store).keys == {"key"}
    there.release()


def test_the_lease_of_a_killed_process_holds_nothing(store: Store) -> None:
    (store.root / "leases" / "key").write_text(f"0123 1 0 {lease.machine()}\n17\n0\n")
    assert InUse.of(store) == InUse(frozenset(), None)


def test_an_output_that_was_used_since_it_was_listed_is_not_removed(store: Store) -> None:
    first = min(entries(store), key=lambda entry: entry.used_ns)
    store.get(first.kind, first.key)
    assert not remove(store, first)
    assert first.path.is_dir()


# ------------------------------------------------------------------------------------------------- the command line


Run = Callable[..., Any]


def test_ls_shows_all_as_lines_and_as_json(store: Store, mitobench: Run) -> None:
    shown = mitobench("store", "ls", "--store", store.root, "--limit", 2)
    lines = shown.out.splitlines()
    assert [line.split()[-1] for line in lines[:2]] == ["c", "b"]
    assert lines[2] == "... and 1 more; --limit 0 shows all."
    assert lines[3].startswith("3 entries, ")
    content = json.loads(mitobench("store", "ls", "--store", store.root, "--json", "--sort", "size").out)
    assert [entry["plugin"] for entry in content["entries"]] == ["c", "b", "a"]
    assert content["bytes"] == sum(entry["bytes"] for entry in content["entries"])
    assert content["entries"][0]["used"] == "2017-07-14T02:40:02+00:00"


def test_verify_names_what_is_corrupt_and_deletes_it_on_request(store: Store, mitobench: Run) -> None:
    assert mitobench("store", "verify", "--store", store.root).code == 0
    broken = next(iter(entries(store))).path
    (broken / "scores").write_bytes(b"changed")
    found = mitobench("store", "verify", "--store", store.root)
    assert found.code == 1
    assert f"CORRUPT {broken}" in found.err
    assert mitobench("store", "verify", "--store", store.root, "--delete").code == 0
    assert not broken.exists()
    assert "2 entries verified" in mitobench("store", "verify", "--store", store.root).out


def test_gc_says_what_it_removes_and_a_dry_run_removes_nothing(store: Store, mitobench: Run) -> None:
    shown = mitobench("store", "gc", "--keep", "0B", "--store", store.root, "--dry-run")
    assert "Would remove 3 entries" in shown.out
    assert len(list(entries(store))) == 3
    total = sum(entry.size for entry in entries(store))
    done = mitobench("store", "gc", "--keep", f"{(total - 1) / 1e6}MB", "--store", store.root)
    assert done.code == 0
    assert done.out.splitlines()[0].endswith("detections a")
    assert names(sorted(entries(store), key=lambda entry: entry.used_ns)) == ["b", "c"]


def test_gc_says_that_the_rest_is_in_use(store: Store, mitobench: Run) -> None:
    with store.in_use():
        write(store, "new", OLD * 2)
        kept = mitobench("store", "gc", "--keep", "1B", "--store", store.root)
    assert kept.code == 1
    assert "the rest is in use" in kept.err
    assert names(list(entries(store))) == ["new"]


@pytest.mark.parametrize("size", ["50", "GB", "-1GB", "1e9", "many", "50 EB"])
def test_a_size_that_cannot_be_read_is_refused(store: Store, mitobench: Run, size: str) -> None:
    answer = mitobench("store", "gc", f"--keep={size}", "--store", store.root)
    assert answer.code == 2
    assert "50GB" in answer.err


@pytest.mark.parametrize("command", [["ls"], ["verify"], ["gc", "--keep", "1GB"]])
def test_a_folder_that_is_not_a_store_is_refused(tmp_path: Path, mitobench: Run, command: list[str]) -> None:
    for folder in (tmp_path / "missing", tmp_path):
        answer = mitobench("store", *command, "--store", folder)
        assert answer.code == 2
        assert f"error: {folder}: is not a store" in answer.err
    assert list(tmp_path.iterdir()) == []
