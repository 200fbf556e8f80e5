"""Leases: one process at a time, on any machine, whatever its clock; an abandoned one is taken over by one alone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mitobench.atomic import remove_file
from mitobench.pipeline import lease
from mitobench.pipeline.lease import Lease, Observer

HOLDER = """
import sys, time
from pathlib import Path
from mitobench.pipeline.lease import Lease
Lease(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "key"


@pytest.fixture
def elsewhere(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lease]:
    """A lease that a process of another machine holds."""
    with monkeypatch.context() as patch:
        patch.setattr(lease, "machine", lambda: "another machine")
        there = Lease(path)
    there.acquire()
    yield there
    there.release()


def held_by_another_process(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lease_that_is_released_leaves_nothing(path: Path) -> None:
    mine = Lease(path)
    mine.acquire()
    assert mine.held
    mine.release()
    assert list(path.parent.iterdir()) == []


def test_a_second_one_waits_until_the_first_is_released(path: Path) -> None:
    first, second = Lease(path), Lease(path)
    first.acquire()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(second.acquire)
        time.sleep(3 * lease.POLL_SECONDS)
        assert not waiting.done()
        first.release()
        waiting.result(timeout=5)
    assert second.held
    second.release()


def test_the_lease_of_a_killed_process_of_this_machine_is_taken_over_at_once(path: Path) -> None:
    other = held_by_another_process(path)
    observer = Observer(path)
    assert not observer.remove_if_abandoned()
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert observer.remove_if_abandoned()


def test_a_process_that_is_dead_but_not_yet_waited_for_holds_no_lease(path: Path) -> None:
    other = held_by_another_process(path)
    os.kill(other.pid, signal.SIGKILL)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert Observer(path).remove_if_abandoned()
    other.wait()


def test_a_process_with_the_number_of_a_dead_one_does_not_hold_its_lease(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(lease, "_started", lambda pid: "1")  # of an earlier process with the number of this one
        Lease(path)._create()
    assert Observer(path).remove_if_abandoned()


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        raise AssertionError("the time of day differs between machines")


@pytest.mark.parametrize("start", [0.0, 1e9, -1e9])
def test_a_beat_is_judged_by_the_observers_own_clock(
    path: Path, elsewhere: Lease, monkeypatch: pytest.MonkeyPatch, start: float
) -> None:
    clock = Clock(start)
    monkeypatch.setattr(lease, "time", clock)
    observer = Observer(path)
    assert not observer.remove_if_abandoned()
    clock.now += lease.PATIENCE_SECONDS - 1
    assert not observer.remove_if_abandoned()
    path.write_bytes(elsewhere._text(1))
    clock.now += 2
    assert not observer.remove_if_abandoned(), "the beat changed"
    clock.now += lease.PATIENCE_SECONDS - 1
    assert not observer.remove_if_abandoned()
    clock.now += 2
    assert observer.remove_if_abandoned()


def test_an_owner_whose_lease_was_taken_over_notices_and_leaves_it_alone(path: Path, elsewhere: Lease) -> None:
    assert remove_file(path, path.read_bytes())
    assert not elsewhere.held
    mine = Lease(path)
    mine.acquire()
    elsewhere.release()
    assert mine.held
    mine.release()


def test_an_owner_raises_its_beat(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    mine = Lease(path)
    mine.acquire()
    first, deadline = path.read_bytes(), time.monotonic() + 5
    while path.read_bytes() in (first, b"") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert path.read_bytes().partition(b"\n")[0] == first.partition(b"\n")[0]
    assert path.read_bytes() != first
    mine.release()


def test_a_beat_does_not_write_into_the_lease_of_another_owner(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    mine = Lease(path)
    mine.acquire()
    path.unlink()
    path.write_text("another owner\n0\n")
    time.sleep(0.1)
    assert path.read_text() == "another owner\n0\n"
    mine.release()
    assert path.read_text() == "another owner\n0\n"


def test_of_several_observers_only_one_takes_an_abandoned_lease_over(path: Path) -> None:
    """Each of many rounds ends with as many owners as one: whoever holds the lease counts up alone."""
    inside, most, lock = [0], [0], threading.Lock()

    def take(_: int) -> None:
        mine = Lease(path)
        mine.acquire()
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.002)
        with lock:
            inside[0] -= 1
        mine.release()

    path.write_text(f"0 999999999 1 {lease.machine()}\n0\n")  # no such process
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(take, range(24)))
    assert most[0] == 1


def test_a_file_that_changed_meanwhile_is_not_removed(path: Path) -> None:
    path.write_bytes(b"new")
    assert not remove_file(path, b"old")
    assert path.read_bytes() == b"new"


def test_a_successor_that_was_moved_by_mistake_is_put_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"old")
    rename = os.rename

    def slow(source: Path, target: Path) -> None:
        path.write_bytes(b"new")  # taken over by another observer just before
        rename(source, target)

    monkeypatch.setattr(os, "rename", slow)
    remove_file(path, b"old")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def _count_up(path: Path, counter: Path) -> None:
    for _ in range(20):
        mine = Lease(path)
        mine.acquire()
        counter.write_text(str(int(counter.read_text()) + 1))
        mine.release()


@pytest.mark.slow
def test_processes_of_one_machine_take_turns(path: Path, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    processes = [context.Process(target=_count_up, args=(path, counter)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert counter.read_text() == "60"
