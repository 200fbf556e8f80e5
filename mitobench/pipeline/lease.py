"""Leases: only one process at a time runs a stage, also where processes of several machines share the store.

A lease is a file that its owner creates with O_EXCL, which every file system does in one step, NFS included. Locks
of the operating system (`flock`) are not used: on network file systems they may be missing, or be lost.

The file says whose the lease is and since when. It holds a count, its beat, that a thread of the owner raises every few
seconds. Whoever waits takes a lease over if the beat stays the same for `PATIENCE_SECONDS` on its own clock: clocks of
two machines are never compared. On the owner's machine its process is looked up instead, so that the lease of a killed
process is taken over at once.

A lease saves double work, and nothing depends on it being perfect. An owner that was only stopped for a while (a laptop
that slept, a network that failed) may find its lease taken over. Then the stage is run twice, with equal outputs, and
the output that is complete first is kept (`Store.write`).
"""

from __future__ import annotations

import errno
import os
import platform
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

from mitobench.atomic import remove_file

BEAT_SECONDS = 5.0  # between two beats of an owner
PATIENCE_SECONDS = 60.0  # without a beat, after which a lease of another machine counts as abandoned
POLL_SECONDS = 0.1  # between two looks at a lease that another process holds
MAX_BYTES = 1_000  # of a lease's file


class Lease:
    """The right to run a stage. Its file's folder must exist."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._owner = f"{uuid.uuid4().hex} {os.getpid()} {_started(os.getpid())} {machine()}"
        self._since = 0  # ns, when it was taken, by the clock of the file system
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def acquire(self, wait: bool = True) -> bool:
        """Takes the lease, when no other process holds it. Raises OSError if its file cannot be written.

        Returns whether it was taken. Without `wait` it is not if another process holds it now.
        """
        observer = Observer(self.path)
        while not self._create():
            if observer.remove_if_abandoned():
                continue
            if not wait:
                return False
            time.sleep(POLL_SECONDS)
        self._thread.start()
        return True

    def release(self) -> None:
        """Lets other processes take the lease. One that was lost is left to its new owner."""
        self._released.set()
        self._thread.join()
        with suppress(OSError):  # the store is gone; whoever waits for the lease there sees its owner's beats end
            if self.held:
                self.path.unlink(missing_ok=True)

    @property
    def held(self) -> bool:
        """Whether the lease is still this one's. False if another process took it over."""
        return _owner_of(_read(self.path)) == self._owner

    def _create(self) -> bool:
        try:
            with self.path.open("xb") as file:
                self._since = os.fstat(file.fileno()).st_mtime_ns
                file.write(self._text(0))
        except FileExistsError:
            return False
        return True

    def _text(self, beat: int) -> bytes:
        return f"{self._owner}\n{self._since}\n{beat}\n".encode()

    def _beat(self) -> None:
        beat = 0
        while not self._released.wait(BEAT_SECONDS):
            beat += 1
            # opened anew, as network file systems write when a file is closed; after an error the next beat may succeed
            with suppress(OSError), self.path.open("r+b") as file:
                if _owner_of(file.read(MAX_BYTES)) != self._owner:
                    return
                file.seek(0)
                file.write(self._text(beat))


class Observer:
    """Watches a lease that another process holds, and removes it if it is abandoned."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: bytes | None = None
        self._since = time.monotonic()

    def remove_if_abandoned(self) -> bool:
        """Returns whether the lease is gone, because it was released, or abandoned and removed."""
        content = _read(self._path)
        if content is None:
            return True
        if content != self._seen:
            self._seen, self._since = content, time.monotonic()
        return self._is_abandoned(content) and remove_file(self._path, content)

    def _is_abandoned(self, content: bytes) -> bool:
        words = _owner_of(content).split(" ", 3)
        if len(words) == 4 and words[3] == machine():
            return _started(int(words[1])) != words[2]
        return time.monotonic() - self._since > PATIENCE_SECONDS


def held_since(path: Path) -> int | None:
    """Returns when a lease was taken, in ns by the clock of the file system; None if no process holds it.

    One of another machine counts as held. 0 if its file does not say when it was taken.
    """
    content = _read(path)
    if content is None:
        return None
    words = _owner_of(content).split(" ", 3)
    if len(words) == 4 and words[3] == machine() and _started(int(words[1])) != words[2]:
        return None
    since = content.split(b"\n")[1:2]
    return int(since[0]) if since and since[0].isdigit() else 0


def machine() -> str:
    """Returns what identifies the machine, or the container, whose processes this one can look up."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux
        return f"{platform.node()} {uuid.getnode()}"


def _started(pid: int) -> str:
    """Returns when a process started, as the system counts it: another process with its number started later.

    Without /proc (not Linux), `alive`. Empty if there is no such process.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _alive(pid)
    return "" if fields[0] in "ZX" else fields[19]


def _alive(pid: int) -> str:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as reason:
        if reason.errno in (errno.ENOENT, errno.ESTALE):  # ESTALE: another machine replaced it (NFS)
            return None
        raise


def _owner_of(content: bytes | None) -> str:
    """Returns the first line, which says whose the lease is; empty while its owner is writing it."""
    return (content or b"").partition(b"\n")[0].decode("utf-8", errors="replace")
