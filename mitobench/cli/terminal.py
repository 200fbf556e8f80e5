"""All output to the terminal. Control characters in untrusted text are escaped, never executed.

Names, titles, file names and error messages may come from untrusted records and plugins. `echo` and `Console` escape
control characters in their input; `guarded` does so for everything that other libraries print.
"""

from __future__ import annotations

import errno
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

import rich.console
import typer
from rich.console import ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table

from mitobench.errors import MitobenchError
from mitobench.foreign import printable

# Control sequences that rich and click write: colours, progress display, showing and hiding the cursor.
_OURS = re.compile(r"(\x1b\[[0-9;]*m|\x1b\[[0-9]*[AKG]|\x1b\[\?25[hl]|\r)")
_UNLIMITED = 10_000  # columns of a file or a pipe
_FORCED = ("FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS", "GITHUB_ACTIONS")


def echo(text: object = "", *, err: bool = False, nl: bool = True, lines: bool = False, **style: Any) -> None:
    """Writes one line, or with `lines` text of several lines. `style` as for `typer.style`."""
    shown = printable(text, None, keep="\n" if lines else "")
    typer.echo(typer.style(shown, **style) if style else shown, err=err, nl=nl)


class Console(rich.console.Console):
    """rich's console for untrusted text: applies its own styles and escapes control characters in the text.

    In a file or a pipe, a table is as wide as its cells need: none is cut or folded, and no line ends in spaces.
    """

    _needed = 0  # columns that the table needs which is being printed

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "emoji": False, **options})

    @property
    def options(self) -> ConsoleOptions:
        """The options of rich, with the width that a table needs where nothing limits it."""
        found = super().options
        return found if self.is_terminal else found.update(width=max(found.max_width, self._needed))

    def print(self, *objects: Any, **options: Any) -> None:
        """Prints as rich does."""
        unlimited = super().options.update(width=_UNLIMITED)
        tables = [one for one in objects if isinstance(one, Table)]
        self._needed = max((Measurement.get(self, unlimited, table).maximum for table in tables), default=0)
        if self.is_terminal or not tables:
            super().print(*objects, **{"crop": self.is_terminal, **options})
            return
        with self.capture() as printed:
            super().print(*objects, **{"crop": False, **options})
        self.file.write("\n".join(line.rstrip(" ") for line in printed.get().split("\n")))

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Renders segments in which only rich's own control codes remain."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable(segment.text, None, keep="\n"), segment.style)


class _EscapingStream:
    """A stream that escapes control sequences in text: a terminal gets only those of rich and click, a file none."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name
        self._styled = stream.isatty() or any(os.environ.get(name) for name in _FORCED)

    def write(self, text: str) -> int:
        if not isinstance(text, str):  # click does this to test whether a stream accepts bytes
            raise TypeError(f"expected str, got {type(text).__name__}")
        parts = _OURS.split(text) if self._styled else [text]
        parts[::2] = [printable(part, None, keep="\n\t") for part in parts[::2]]
        if text:
            try:
                self._stream.write("".join(parts))
            except OSError as reason:
                raise self._failed(reason) from reason
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as reason:
            raise self._failed(reason) from reason

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def _failed(self, reason: OSError) -> Exception:
        """Returns the error to raise. Discards buffered output, which Python would otherwise try to write at exit."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        if reason.errno == errno.EPIPE:  # the reader closed the pipe, which is not an error
            return reason
        return MitobenchError(
            f"{self._name} cannot be written: {reason.strerror}. Free some disk space, or redirect the output."
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def guarded() -> Iterator[None]:
    """Guards standard output and standard error within the block, and flushes them at the end.

    Raises MitobenchError if they cannot be written, for example on a full disk.
    """
    before = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, _EscapingStream(sys.stdout, "Standard output"))
    sys.stderr = cast(TextIO, _EscapingStream(sys.stderr, "Standard error"))
    written = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in written:
            stream.flush()


def time_left(seconds: float | None) -> str:
    """Returns how long something takes from now on, for people: `about 3 min left`; empty if that is not known."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    if seconds < 90:
        return f"about {seconds:.0f} s left"
    minutes = round(seconds / 60)
    return f"about {minutes} min left" if minutes < 90 else f"about {minutes / 60:.1f} h left"
