"""The one way to the terminal: text of foreign origin is shown by it, and never obeyed.

Names, titles, file names and reasons come from records and plugins of strangers. `echo` and `Console` spell out the
control characters in whatever they are given; what other libraries print, the streams themselves guard.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

import rich.console
import typer
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from mitobench.errors import MitobenchError
from mitobench.foreign import printable

# What rich and click write to a terminal: colours, the lines of a progress display, the cursor on and off.
_OURS = re.compile(r"(\x1b\[[0-9;]*m|\x1b\[[0-9]*[AKG]|\x1b\[\?25[hl]|\r)")
_FORCED = ("FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS", "GITHUB_ACTIONS")


def echo(text: object = "", *, err: bool = False, nl: bool = True, lines: bool = False, **style: Any) -> None:
    """Write one line; `lines`: the text may hold several. `style` as for `typer.style`."""
    shown = printable(text, None, keep="\n" if lines else "")
    typer.echo(typer.style(shown, **style) if style else shown, err=err, nl=nl)


class Console(rich.console.Console):
    """rich's console, for text of foreign origin: its styles are obeyed, control characters in the text are not."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "emoji": False, **options})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments, in which only rich's own control codes are left."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable(segment.text, None, keep="\n"), segment.style)


class _Guarded:
    """A stream in which nothing but rich's and click's own sequences reach a terminal, and nothing else a file."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name
        self._styled = stream.isatty() or any(os.environ.get(name) for name in _FORCED)

    def write(self, text: str) -> int:
        if not isinstance(text, str):  # click asks so whether a stream takes bytes
            raise TypeError(f"a str is written, not {type(text).__name__}")
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
        """The error to raise. What is still buffered goes nowhere, or Python would try once more at its end."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        if reason.errno == errno.EPIPE:  # the reader has seen enough: no error
            return reason
        return MitobenchError(f"{self._name} cannot be written: {reason.strerror}. Free some space, or redirect it.")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def guarded() -> Iterator[None]:
    """Standard output and error are guarded in here, and written out at the end.

    Raises MitobenchError where they cannot be written, for example on a full disk.
    """
    before = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, _Guarded(sys.stdout, "Standard output"))
    sys.stderr = cast(TextIO, _Guarded(sys.stderr, "Standard error"))
    written = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in written:
            stream.flush()
