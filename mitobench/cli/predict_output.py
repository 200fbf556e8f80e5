"""What `mitobench predict` shows: the model, the progress, notes on images, and a table of the counts."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mitobench.cli.terminal import time_left

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mitobench.model import Model
    from mitobench.model.batch import Progress, ProgressListener
    from mitobench.model.outputs import ImageSummary

SECONDS_A_LINE = 60.0  # between two lines of progress where there is no terminal


@contextmanager
def progress() -> Iterator[ProgressListener]:
    """Gives what shows the progress: a bar on a terminal, a line a minute elsewhere."""
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from mitobench.cli.console import console

    if not console.is_terminal:
        yield _Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0, left="")

        def show(state: Progress) -> None:
            left = time_left(state.seconds_left)
            bar.update(task, completed=state.share, description=_where(state), left=left)

        yield show


class _Lines:
    """Prints a line a minute."""

    def __init__(self) -> None:
        import time

        self._clock = time.monotonic
        self._next = self._clock() + SECONDS_A_LINE

    def __call__(self, state: Progress) -> None:
        from mitobench.cli.console import notify

        if self._clock() >= self._next:
            self._next = self._clock() + SECONDS_A_LINE
            notify(
                ", ".join(filter(None, [_where(state), f"{100 * state.share:.0f} %", time_left(state.seconds_left)]))
            )


def _where(state: Progress) -> str:
    image = f"image {state.image + 1} of {state.images}, " if state.images > 1 else ""
    return f"{image}part {state.cells} of {state.all_cells}"


def introduce(folder: Path, model: Model, threshold: float | None) -> None:
    """Prints which model is used, how well it did in its test, and from which score on a candidate counts."""
    from mitobench.cli.console import notify
    from mitobench.errors import counted
    from mitobench.gallery.outcomes import short
    from mitobench.model.measured import f1_text
    from mitobench.report import markdown

    card = model.card
    notify(f"Model {folder.resolve().name}: {card.title}.")
    notify(f"{f1_text(card)} Candidates with a score of {short(card.threshold)} or more are mitoses.")
    if card.calibration is not None:
        notify(
            f"Its threshold of {card.threshold:.4g} was chosen on {counted(card.calibration.images, 'image')} of your "
            f"own, with F1 {markdown.number(card.calibration.f1)} there."
        )
    if card.threshold != card.measured_threshold:
        notify(f"The F1 of the test refers to a threshold of {short(card.measured_threshold)}.")
    if threshold is not None:
        notify(f"Using --threshold {threshold:g} instead: the F1 of the test does not apply to it.")
    notify("Research software: not for diagnosis.")


def show_notes(rows: Sequence[ImageSummary]) -> None:
    """Prints what several images have in common once, then the other notes image by image."""
    from collections import Counter

    from mitobench.cli.console import notify

    images = Counter(note for row in rows for note in row.notes)
    for note, number in images.items():
        if number > 1:
            notify(f"{number} images: {note}")
    for row in rows:
        if own := [note for note in row.notes if images[note] == 1]:
            notify(f"{row.image}: {'; '.join(own)}")


def show(rows: Sequence[ImageSummary]) -> None:
    """Prints a short table; the summary file has all columns."""
    from rich.markup import escape
    from rich.table import Table

    from mitobench.cli.console import console

    table = Table(box=None, pad_edge=False)
    for column in ("image", "hot spot", "mitoses", "tissue mm2", "per mm2", "candidates", "seconds"):
        table.add_column(column, justify="left" if column == "image" else "right", overflow="fold")
    for row in rows:
        name = escape(Path(row.image).name)
        if row.tissue_mm2 is None:  # the reason was printed when it happened
            table.add_row(name, "", "not judged" if row.searched else "skipped")
            continue
        rate = "" if row.mitoses_per_mm2 is None else f"{row.mitoses_per_mm2:.1f}"
        hot = "" if row.hot_spot_mitoses is None else f"{row.hot_spot_mitoses}"
        seconds = "found before" if row.found_before else f"{row.seconds:.1f}"
        cells = (hot, f"{row.mitoses}", f"{row.tissue_mm2:.3f}", rate, f"{row.candidates}", seconds)
        table.add_row(name, *cells)
    console.print(table)
