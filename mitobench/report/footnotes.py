"""Numbered notes below a table, each listed once however many rows it holds for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mitobench.report.markdown import SENTENCE, escape


class Footnotes:
    """Collects the notes of a table's rows and numbers them in the order of their first use."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def numbers(self, notes: Iterable[str]) -> str:
        """The numbers of some notes for a cell, `1, 3–5`; empty without notes."""
        return _spelled(self.numbered(notes))

    def numbered(self, notes: Iterable[str]) -> list[int]:
        """The numbers of some notes, ascending; the first note has the number 1."""
        return sorted({self._numbers.setdefault(note, len(self._numbers) + 1) for note in notes})

    @property
    def notes(self) -> list[str]:
        """All notes in the order of their numbers."""
        return list(self._numbers)

    def listed(self) -> str:
        """All notes as a numbered list in markdown, each escaped; empty without notes."""
        return "\n".join(f"{number}. {escape(note, SENTENCE)}" for note, number in self._numbers.items())


def _spelled(numbers: Sequence[int]) -> str:
    """Ascending numbers, three or more consecutive ones as a range."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)
