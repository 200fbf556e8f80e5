"""One process that has imported torch and mmengine, and forks a real process for each command.

A command that trains spends most of a short test on importing. Here the imports happen once. Each command is a process
of its own: it has its own environment, folder, arguments and output, ends as any Python process does, and can be
killed. What this does not test is the start of an interpreter and the order of imports.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

MODULES = (
    *("torch", "torchvision", "mmengine.runner", "mitobench.training.runner"),
    *("mitobench.benchmark", "mitobench.cli", "mitobench.model", "mitobench.report.build"),
)
PROGRAM = "import preloaded; preloaded.serve(); preloaded.run_command()"
MAX_REQUEST = 1 << 20

_exit_code = 0


class Command:
    """A running command, with the methods of `subprocess.Popen` that tests use. Its output is text.

    Bytes that are not UTF-8 are surrogates in it.
    """

    def __init__(self, connection: socket.socket, out: IO[bytes], err: IO[bytes]) -> None:
        self._connection, self._out, self._err = connection, out, err
        self.returncode: int | None = None
        self.pid = int.from_bytes(connection.recv(4, socket.MSG_WAITALL), "big")

    def poll(self) -> int | None:
        """Returns the exit code, negative for a signal; None while the process runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code when the process has ended. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            self._connection.settimeout(None if timeout is None else max(timeout, 1e-3))
            try:
                received = self._connection.recv(32)
            except TimeoutError:
                raise subprocess.TimeoutExpired("mitobench", timeout or 0) from None
            self._connection.settimeout(None)
            self.returncode = int(received)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal to the process, unless it is known to have ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kills the process."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Waits for the end of the process, and returns what it printed, to stdout and to stderr."""
        self.wait(timeout)
        texts = []
        for file in (self._out, self._err):
            file.seek(0)
            texts.append(file.read().decode(errors="surrogateescape"))
        return texts[0], texts[1]


class Preloaded:
    """Starts commands, once the process that they are forked from has imported everything.

    Args:
        environment: further variables that its interpreter starts with.
    """

    def __init__(self, environment: Mapping[str, str] = {}) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="preloaded-")
        self._address = str(Path(self._folder.name) / "socket")
        self._server = self._start_server(environment)

    def start(
        self, arguments: Sequence[object], env: Mapping[str, str], cwd: Path | None = None, before: str = ""
    ) -> Command:
        """Starts `mitobench ARGUMENTS` with exactly these environment variables, by default in the current folder.

        `before` is a program that the process runs first.
        """
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - the command reads them
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._address)
        request = {
            "arguments": [_sent(str(word)) for word in arguments],
            "env": {_sent(name): _sent(value) for name, value in env.items()},
            "cwd": _sent(str(cwd or Path.cwd())),
            "before": before,
        }
        content = json.dumps(request).encode()
        assert len(content) < MAX_REQUEST
        socket.send_fds(connection, [len(content).to_bytes(4, "big")], [out.fileno(), err.fileno()])
        connection.sendall(content)
        return Command(connection, out, err)

    def run(
        self, arguments: Sequence[object], env: Mapping[str, str], cwd: Path | None = None, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Runs `mitobench ARGUMENTS` to its end."""
        command = self.start(arguments, env, cwd)
        out, err = command.communicate(timeout)
        assert command.returncode is not None
        return subprocess.CompletedProcess(["mitobench", *map(str, arguments)], command.returncode, out, err)

    def _start_server(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
        # Without CUDA: mmengine looks for devices when it is imported, and CUDA cannot be used after a fork.
        own = {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PROGRAM, self._address],
            env={**os.environ, **own, **environment},
            stdin=subprocess.PIPE,  # when it is closed, the process ends too
            start_new_session=True,
        )
        while not Path(self._address).exists():
            assert server.poll() is None, "the process that imports torch and mmengine ended"
            time.sleep(0.05)
        return server

    def close(self) -> None:
        """Ends the process that commands are forked from."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()
        self._folder.cleanup()


def _sent(text: str) -> str:
    """Returns the bytes of a text, one a character: the two processes may differ in the encoding of file names."""
    return os.fsencode(text).decode("latin-1")


def _received(text: str) -> str:
    return os.fsdecode(text.encode("latin-1"))


def serve() -> None:
    """Imports the modules, then forks a process for each request. Returns only in those processes."""
    atexit.register(_end)  # before the imports: it runs after all that they register
    for name in MODULES:
        importlib.import_module(name)
    _parse_sources()
    gc.freeze()
    _, address = sys.argv
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen()
    signal.signal(signal.SIGCHLD, lambda *_: _reap())
    os.rename(f"{address}.new", address)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            os._exit(0)
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return _become_command(connection)
        connection.close()


def _parse_sources() -> None:
    """Parses mitobench's own modules, which takes a second and which planning a run would do in each process."""
    import mitobench
    from mitobench.pipeline import code

    for path in Path(mitobench.__file__).parent.rglob("*.py"):
        code._parse(code.read_source(path))


def run_command() -> None:
    """Runs the command of this process's arguments."""
    global _exit_code
    from mitobench.cli import main

    _exit_code = 1  # of any other exception
    try:
        main()
    except SystemExit as end:
        _exit_code = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    _exit_code = 0


def _end() -> None:
    """Ends the process without clearing its memory, which takes a second once torch is imported."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(_exit_code)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become_command(connection: socket.socket) -> None:
    """Forks once more: the parent reports how the child ends, the child becomes the command."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, outputs, _, _ = socket.recv_fds(connection, 4, 2)
    with connection.makefile("rb") as stream:
        request = json.loads(stream.read(int.from_bytes(size, "big")))
    pid = os.fork()
    if pid:
        connection.sendall(pid.to_bytes(4, "big"))
        _, status = os.waitpid(pid, 0)
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    connection.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, output in enumerate((os.open(os.devnull, os.O_RDONLY), *outputs)):
        os.dup2(output, number)
        os.close(output)
    os.chdir(_received(request["cwd"]))
    os.environ.clear()
    os.environ.update({_received(name): _received(value) for name, value in request["env"].items()})
    sys.argv = ["-c", *map(_received, request["arguments"])]
    added = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    ours = str(Path(__file__).parent)
    sys.path[:] = ["", *(p for p in added if p not in sys.path), *(p for p in sys.path if p not in ("", ours))]
    importlib.invalidate_caches()
    warnings.simplefilter("ignore")
    exec(request["before"], {})
