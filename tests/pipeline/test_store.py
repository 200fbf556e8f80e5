"""The store: outputs are complete or absent, verified on reading, and still readable after a full disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mitobench.errors import StoreError
from mitobench.pipeline import canonical
from mitobench.pipeline import store as store_module
from mitobench.pipeline.store import Store

KEY = canonical.digest({"spec": 1})


def write(store: Store, text: str = "weights") -> None:
    with store.write("fit", KEY, {"spec": 1}) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file.txt").write_text(text)


def test_what_was_written_is_read_with_its_spec(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    assert store.get("fit", KEY) is None
    assert not store.has("fit", KEY)
    write(store)
    output = store.get("fit", KEY)
    assert output is not None
    assert (output.folder / "sub" / "file.txt").read_text() == "weights"
    assert output.manifest["spec"] == {"spec": 1}
    assert store.has("fit", KEY)


def fail_half_way(folder: Path) -> None:
    (folder / "half").write_text("half")
    raise ValueError("of the stage")


def test_an_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    with pytest.raises(ValueError, match="of the stage"), store.write("fit", KEY, {"spec": 1}) as folder:
        fail_half_way(folder)
    assert store.get("fit", KEY) is None
    assert list((tmp_path / "tmp").iterdir()) == []


def test_incomplete_outputs_of_killed_processes_are_removed(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    (tmp_path / "tmp" / f"{KEY}-left").mkdir()
    write(store)
    assert list((tmp_path / "tmp").iterdir()) == []


@settings(max_examples=30)
@given(
    file=st.sampled_from(["manifest.json", "sub/file.txt"]),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
def test_an_output_with_a_flipped_bit_is_deleted(
    tmp_path_factory: pytest.TempPathFactory, file: str, place: float, bit: int
) -> None:
    store = Store(tmp_path_factory.mktemp("store")).open()
    write(store)
    output = store.get("fit", KEY)
    assert output is not None
    path = output.folder / file
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(bytes(content))
    assert store.get("fit", KEY) is None
    assert not store.has("fit", KEY)
    write(store)
    assert store.get("fit", KEY) is not None


@pytest.mark.parametrize("change", ["missing", "added", "empty"])
def test_a_missing_added_or_emptied_file_is_found(tmp_path: Path, change: str) -> None:
    store = Store(tmp_path).open()
    write(store)
    output = store.get("fit", KEY)
    assert output is not None
    if change == "missing":
        (output.folder / "sub" / "file.txt").unlink()
    elif change == "added":
        (output.folder / "more.txt").write_text("more")
    else:
        (output.folder / "manifest.json").write_text("")
    assert store.get("fit", KEY) is None


def test_a_manifest_of_a_plugin_in_a_subfolder_is_verified_too(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    with store.write("fit", KEY, {"spec": 1}) as folder:
        (folder / "member").mkdir()
        (folder / "member" / "manifest.json").write_text("1")
    output = store.get("fit", KEY)
    assert output is not None
    assert "member/manifest.json" in output.manifest["files"]
    (output.folder / "member" / "manifest.json").write_text("2")
    assert store.get("fit", KEY) is None


def test_a_full_disk_is_reported_and_the_store_still_works(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    with pytest.raises(StoreError, match=r"No space left.*Free some space"), store.write("fit", KEY, {"spec": 1}):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert store.get("fit", KEY) is None
    write(store)
    assert store.get("fit", KEY) is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=256k tmpfs '{disk}' 2>/dev/null") != 0:
        pytest.skip("no small disk can be mounted here")
    try:
        store = Store(disk / "store").open()
        with pytest.raises(StoreError, match="Free some space"), store.write("fit", KEY, {"spec": 1}) as folder:
            (folder / "big").write_bytes(bytes(1 << 20))
        write(store)
        assert store.get("fit", KEY) is not None
    finally:
        os.system(f"umount '{disk}'")


def test_a_store_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="--store"):
        Store(tmp_path / "file").open()


def test_the_work_folder_is_kept_until_the_output_is_complete(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    (store.work(KEY) / "checkpoint").write_text("half way")
    with pytest.raises(KeyboardInterrupt), store.write("fit", KEY, {"spec": 1}):
        raise KeyboardInterrupt
    assert (store.work(KEY) / "checkpoint").is_file()
    write(store)
    assert not (tmp_path / "work" / KEY).exists()


def test_a_manifest_that_another_process_removes_while_they_are_listed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path).open()
    keys = {number: canonical.digest({"spec": number}) for number in (1, 2)}
    for number, key in keys.items():
        with store.write("fit", key, {"spec": number}):
            pass

    def listed(folder: Path) -> list[os.DirEntry[str]]:
        found = list(os.scandir(folder))
        Store(tmp_path).discard("fit", keys[1])
        return found

    monkeypatch.setattr(store_module, "scan", listed)
    assert [manifest["spec"] for manifest in store.manifests("fit", 10)] == [{"spec": 2}]


def test_an_output_that_another_process_discarded_may_be_discarded_again(tmp_path: Path) -> None:
    store = Store(tmp_path).open()
    write(store)
    for _ in range(2):
        store.discard("fit", KEY)
    assert store.get("fit", KEY) is None
    assert list((tmp_path / "tmp").iterdir()) == []


def test_an_output_that_is_removed_while_it_is_verified_is_missing_and_not_corrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path).open()
    write(store)
    verify = store_module.verify

    def late(folder: Path) -> object:
        Store(tmp_path).discard("fit", KEY)
        return verify(folder)

    monkeypatch.setattr(store_module, "verify", late)
    assert store.get("fit", KEY) is None
    assert caplog.text == ""
