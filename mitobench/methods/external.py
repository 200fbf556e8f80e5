"""`external:COMMAND`: any program as a detector.

The program gets an image file and answers with a CSV. Its command is never given to a shell.
"""

from __future__ import annotations

import csv
import functools
import io
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import Image
from pydantic import model_validator
from skimage.transform import resize

from mitobench import api
from mitobench.api import Detections, Detector, Field, File, Floats, Frame, MitobenchError, PluginError
from mitobench.content import file_digest
from mitobench.foreign import printable

IMAGE, OUT, MPP, PYTHON = "{image}", "{out}", "{mpp}", "{python}"
MAX_COMMAND = 4096  # characters
MAX_OUTPUT = 32 << 20  # bytes of standard output, of standard error, and of the CSV
MAX_ROWS = 100_000
COLUMNS, BOX = ("x", "y", "score"), ("x1", "y1", "x2", "y2")
SLACK_PX = 1.0  # how far a centre may lie outside the image, as for all detectors
STDERR_LINES = 5
MAX_SHOWN = 200  # characters of a line of the program's output in a message
FORBIDDEN = "MITOBENCH_FORBID_EXTERNAL"  # set while a stranger's record or model is used without permission
# Their versions change with the system, and what they run is in other words: they count by their name.
INTERPRETER = re.compile(
    r"(python|pypy|perl|ruby|node|java|julia|Rscript|octave|matlab|(ba|da|k|z)?sh|env|docker)[\d.]*"
)
# The program gets these variables of the environment only: others may hold passwords and keys.
ENVIRONMENT = re.compile(
    r"(PATH|HOME|USER|LANG|LC_[A-Z]+|TZ|TMPDIR|LD_LIBRARY_PATH|VIRTUAL_ENV|CONDA_PREFIX|CUDA_[A-Z_]+|[A-Z]+_NUM_THREADS)"
)


class ExternalOptions(api.Options):
    """Options of `external`."""

    command: str = Field(
        "",
        description="The program and its arguments. Replaced: {image} by the path of a PNG (must be there), {out} by "
        "that of the CSV to write (without it: standard output), {mpp} by um/px of the PNG, {python} by the Python "
        "that runs mitobench.",
    )
    timeout_s: float = Field(600.0, gt=0, le=86_400, description="Longest time for one image, s.")
    mpp: float | None = Field(
        None, ge=0.1, le=1, description="um/px that images are resized to first; null leaves them as they are."
    )
    box_um: float = Field(15.0, gt=0, le=1000, description="Side of the box round a point without a box, um.")
    words: tuple[File | None, ...] = Field(
        (),
        description="For each word of the command the file that it names, whose content is part of the key, or null. "
        "Found by itself.",
    )
    files: tuple[File, ...] = Field(
        (), description="Other files that the program reads; their content is part of the key too."
    )
    program: str = Field(
        "",
        description="SHA-256 of the program, if it is on the PATH and not an interpreter such as python. Found by "
        "itself, on every machine anew.",
    )

    @model_validator(mode="after")
    def _find_words(self) -> ExternalOptions:
        """Finds the words that are files, unless they are given, as they are by records and models; and the program.

        A record does not decide which program of that name runs here: `reproduce` names another one as a change.
        """
        words = shlex.split(self.command)
        if not self.words and words:
            files = tuple(File(_local(word)) if _local(word).is_file() else None for word in words)
            object.__setattr__(self, "words", files)  # the model is frozen for everyone else
        if len(self.words) != len(words):
            raise ValueError(f"words must have one value for each of the {len(words)} words of the command")
        object.__setattr__(self, "program", _on_path(words[0]) if words and self.words[0] is None else "")
        return self


class External(Detector):
    """Runs a program on every frame."""

    name = "external"
    version = "1"
    Options = ExternalOptions
    argument = "command"
    example = "{python} -c \"print('x,y,score')\" {image}"
    uses_boxes = False  # it learns nothing

    @classmethod
    def resolve(cls, argument: str) -> str:
        """Returns the command with single spaces, and quotes only where they are needed.

        Raises MitobenchError for a command that cannot be split into words, or has no `{image}`.
        """
        shown = printable(argument, MAX_SHOWN)
        try:
            words = shlex.split(argument)
        except ValueError as reason:
            raise MitobenchError(f"external:{shown}: cannot be split into words: {reason}. Close the quotes.") from None
        if len(argument) > MAX_COMMAND or "\0" in argument:
            raise MitobenchError(
                f"external:{shown}: a command has at most {MAX_COMMAND} characters, none of them NUL. Put it in a file."
            )
        if words and IMAGE in words[0]:
            raise MitobenchError(f"external:{shown}: names no program before {IMAGE}. Write external:PROGRAM {IMAGE}.")
        if not any(IMAGE in word for word in words[1:]):
            raise MitobenchError(
                f"external:{shown}: the command has no {IMAGE}. Write external:PROGRAM {IMAGE}, and put words with a "
                "comma or a plus in quotes."
            )
        return " ".join(map(_quoted, words))

    @classmethod
    def trusts(cls, options: Any) -> Sequence[api.Need]:
        """Returns the command, and the files that replace words of it that are not those files here."""
        return [("external", f"{options.command}{''.join(_replacements(options))}")] if options.command else []

    def predict(self, frame: Frame) -> Detections:
        """Runs the program on the frame. Raises PluginError if it fails or its answer is not valid."""
        if os.environ.get(FORBIDDEN):
            raise PluginError(
                f"external: running {printable(self.options.command, MAX_SHOWN)} is not allowed here. Give "
                "--allow-external if you trust this program."
            )
        with tempfile.TemporaryDirectory(prefix="mitobench-") as folder:
            image, mpp = Path(folder, "image.png"), self._write(frame, Path(folder, "image.png"))
            words, out = self._words(Path(folder), mpp), Path(folder, "out.csv")
            program = _Program(words, Path(folder), out, self.options.timeout_s)
            program.run()
            with Image.open(image) as written:
                size = written.size
            answer, where = program.answer(from_file=OUT in self.options.command)
        xy, boxes, score = _parse(answer, where, size)
        scale = np.asarray(frame.size) / np.asarray(size)
        side = self.options.box_um / np.asarray(frame.mpp)
        xy, corners = _rescaled(xy, scale), _rescaled(boxes.reshape(-1, 2, 2), scale).reshape(-1, 4)
        without = np.isnan(corners).any(axis=1, keepdims=True)
        return Detections(xy, np.where(without, np.concatenate([xy - side / 2, xy + side / 2], axis=1), corners), score)

    def _write(self, frame: Frame, path: Path) -> float:
        """Writes the frame as a PNG; returns its um/px."""
        pixels, wanted = frame.read(), self.options.mpp
        if wanted is not None:
            shape = [max(1, round(n * was / wanted)) for n, was in zip(frame.size[::-1], frame.mpp[::-1], strict=True)]
            pixels = np.rint(resize(pixels, shape, anti_aliasing=True, preserve_range=True)).astype(np.uint8)
        Image.fromarray(pixels).save(path, compress_level=1)
        return wanted if wanted is not None else sum(frame.mpp) / 2

    def _words(self, folder: Path, mpp: float) -> list[str]:
        """Returns the words of the command line, with files by their path and placeholders replaced."""
        words = []
        for number, (word, file) in enumerate(zip(shlex.split(self.options.command), self.options.words, strict=True)):
            if file is not None:
                words.append(str(_executable(file, word, folder) if number == 0 else file.path))
                continue
            for placeholder, value in {
                IMAGE: str(folder / "image.png"),
                OUT: str(folder / "out.csv"),
                MPP: f"{mpp:.6g}",
                PYTHON: sys.executable,
            }.items():
                word = word.replace(placeholder, value)
            words.append(word)
        return words


def _quoted(word: str) -> str:
    """Returns a word as `shlex.split` reads it back. Words with a comma, a plus or other special signs get quotes."""
    if re.fullmatch(r"[\w@%=:./{}-]+", word, re.ASCII):
        return word
    if "'" in word and not set(word) & set('"\\'):
        return f'"{word}"'
    return "'" + word.replace("'", "'\"'\"'") + "'"


def _local(word: str) -> Path:
    """Returns the path that a word names here, if it names one."""
    return Path(os.path.expanduser(word)).absolute()


def _on_path(word: str) -> str:
    """Returns the SHA-256 of the program that a word names on the PATH; empty if there is none, or an interpreter."""
    # With a slash it is a path, which a record may give: such a file is not read before it is allowed to run.
    found = None if "/" in word or INTERPRETER.fullmatch(word) else shutil.which(word)
    if found is None:
        return ""
    try:
        state = os.stat(found)
    except OSError:  # it was removed since
        return ""
    return _digest(Path(found), (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))


@functools.lru_cache(maxsize=64)
def _digest(path: Path, state: tuple[int, ...]) -> str:
    """Returns a file's SHA-256, computed once for each of its states: options are read often."""
    try:
        return file_digest(path)
    except OSError:  # it may be run and not read
        return ""


def _replacements(options: Any) -> Iterator[str]:
    """Yields which words of a command are other files than those of that name here."""
    for word, file in zip(shlex.split(options.command), options.words, strict=True):
        if file is not None and file.path != _local(word):
            yield f" ({word} is a file that it brings, with SHA-256 {file.sha256})"


def _executable(file: File, word: str, folder: Path) -> Path:
    """Returns the program's path. A copy that a record or model brings is made executable, the user's own file is not.

    Raises PluginError for a file of the user that is not executable.
    """
    if os.access(file.path, os.X_OK):
        return file.path
    if file.path == _local(word):
        raise PluginError(f"external: {file.path} is not executable. Run `chmod +x`, or name its interpreter first.")
    copy = folder / file.name
    copy.write_bytes(file.read_bytes())
    copy.chmod(stat.S_IRWXU)
    return copy


def _rescaled(xy: Floats, scale: Floats) -> Floats:
    """Maps points from the written image to the frame. Pixel 0 reaches from -.5 to .5 in both."""
    found: Floats = (xy + 0.5) * scale - 0.5
    return found


class _Program:
    """One run of the program. Its output goes to files, so that no reader can block."""

    def __init__(self, words: Sequence[str], folder: Path, out: Path, timeout_s: float) -> None:
        self.words, self.out, self.timeout_s = list(words), out, timeout_s
        self.stdout, self.stderr = folder / "stdout", folder / "stderr"

    def run(self) -> None:
        """Runs it to its end. Raises PluginError if it cannot start, fails, takes too long, or writes too much."""
        environment = {name: value for name, value in os.environ.items() if ENVIRONMENT.fullmatch(name)}
        with self.stdout.open("wb") as stdout, self.stderr.open("wb") as stderr:
            try:
                process = subprocess.Popen(
                    self.words,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    env=environment,
                    start_new_session=True,
                )
            except (OSError, ValueError) as reason:
                problem = reason.strerror if isinstance(reason, OSError) else str(reason)
                self._fail(f"cannot be started: {problem}. Check the path of the program, and install it")
            try:
                self._wait(process)
            finally:
                _kill_group(process)
        if process.returncode:
            ended = f"exit code {process.returncode}" if process.returncode > 0 else f"signal {-process.returncode}"
            self._fail(f"ended with {ended}; {self._last_lines()}")

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.timeout_s
        while True:
            try:
                process.wait(min(0.1, max(0.0, deadline - time.monotonic())))
            except subprocess.TimeoutExpired:
                if time.monotonic() >= deadline:
                    self._fail(
                        f"took longer than {self.timeout_s:g} s and was stopped; {self._last_lines()}. Give it more "
                        "with --set detector.external.timeout_s=SECONDS"
                    )
            self._check_sizes()
            if process.returncode is not None:
                return

    def _check_sizes(self) -> None:
        for path, what in ((self.stdout, "standard output"), (self.stderr, "standard error"), (self.out, OUT)):
            if path.is_file() and path.stat().st_size > MAX_OUTPUT:
                self._fail(f"wrote more than {MAX_OUTPUT >> 20} MB to {what}")

    def answer(self, from_file: bool) -> tuple[str, str]:
        """Returns the CSV's text and where it is from. Raises PluginError if there is none, or it is not UTF-8."""
        path, where = (self.out, OUT) if from_file else (self.stdout, "standard output")
        if path.is_symlink() or not path.is_file():
            self._fail(f"did not write the CSV to {OUT}; {self._last_lines()}")
        try:
            return path.read_bytes().decode("utf-8-sig"), where
        except UnicodeDecodeError as reason:
            self._fail(f"wrote something to {where} that is not UTF-8 text (byte {reason.start})")

    def _last_lines(self) -> str:
        with self.stderr.open("rb") as file:
            file.seek(max(0, self.stderr.stat().st_size - 8192))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        shown = " | ".join(printable(line, MAX_SHOWN) for line in lines[-STDERR_LINES:])
        return f"the end of its standard error: {shown}" if shown else "it wrote nothing to standard error"

    def _fail(self, problem: str) -> NoReturn:
        raise PluginError(f"external: the program {printable(self.words[0], MAX_SHOWN)} {problem.rstrip('.')}.")


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the program and everything that it started and that is still in its process group."""
    with suppress(ProcessLookupError, PermissionError):  # nothing is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _parse(text: str, where: str, size: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    """Returns centres [N, 2], boxes [N, 4] (NaN without boxes) and scores [N], in px of the image of that size.

    Raises PluginError, with the line, for anything else than the CSV that was asked for.
    """
    lines = csv.reader(io.StringIO(text), strict=True)
    rows, header = [], None
    try:
        for row in lines:
            if not any(cell.strip() for cell in row):
                continue
            if header is None:
                header = _header([cell.strip() for cell in row], where, lines.line_num)
                continue
            rows.append(_row(row, header, where, lines.line_num, size))
            if len(rows) > MAX_ROWS:
                _malformed(where, lines.line_num, f"more than {MAX_ROWS:,} detections")
    except csv.Error as reason:
        _malformed(where, lines.line_num, str(reason))
    if header is None:
        _malformed(where, 1, "it is empty; if nothing is found, write the header alone")
    values = np.array(rows, dtype=np.float64).reshape(-1, 7)
    return values[:, :2], values[:, 3:], values[:, 2]


def _header(names: list[str], where: str, line: int) -> list[str]:
    if sorted(names) not in (sorted(COLUMNS), sorted((*COLUMNS, *BOX))):
        _malformed(
            where,
            line,
            f"the header must be x,y,score or x,y,score,x1,y1,x2,y2, not {printable(','.join(names), MAX_SHOWN)!r}; "
            f"log to standard error, or write the CSV to {OUT}",
        )
    return names


def _row(cells: list[str], header: list[str], where: str, line: int, size: tuple[int, int]) -> list[float]:
    shown = printable(",".join(cells), MAX_SHOWN)
    if len(cells) != len(header):
        _malformed(where, line, f"{len(cells)} values for {len(header)} columns: {shown!r}")
    try:
        values = dict(zip(header, map(float, cells), strict=True))
    except ValueError:
        _malformed(where, line, f"not only numbers: {shown!r}")
    if not all(np.isfinite(value) for value in values.values()):
        _malformed(where, line, f"a number that is not finite: {shown!r}")
    for value, side in zip((values["x"], values["y"]), size, strict=True):
        if not -0.5 - SLACK_PX <= value <= side - 0.5 + SLACK_PX:
            _malformed(
                where,
                line,
                f"a centre outside the image of {size[0]} x {size[1]} px: {shown!r}; coordinates are its px",
            )
    if "x1" in values and not (values["x1"] < values["x2"] and values["y1"] < values["y2"]):
        _malformed(where, line, f"a box without area: {shown!r}; boxes need x1 < x2 and y1 < y2")
    return [values.get(name, np.nan) for name in (*COLUMNS, *BOX)]


def _malformed(where: str, line: int, problem: str) -> NoReturn:
    raise PluginError(f"external: line {line} of the CSV from {where}: {problem}.")
