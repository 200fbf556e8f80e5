"""Reads the tables of a markdown page."""

from __future__ import annotations

import re


def table(text: str, first: str) -> list[dict[str, str]]:
    """The rows of all tables whose first column is `first`, by column; an escaped bar does not end a cell."""
    found: list[dict[str, str]] = []
    columns: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.replace(r"\|", "¦").strip("|").split("|")]
        names = [heading(cell) for cell in cells]
        if not line.startswith("|") or names[0] == first or not columns:
            columns = names if line.startswith("|") and names[0] == first else []
        elif cells[0] != "---":
            found.append(dict(zip(columns, cells, strict=True)))
    return found


def rows(text: str) -> list[dict[str, str]]:
    """The rows of all tables of combinations, whose first column is the rank."""
    return table(text, "#")


def part(text: str, heading: str) -> str:
    """The part of a page below a heading of the second level."""
    return text.partition(f"{heading}\n")[2].partition("\n## ")[0]


def heading(cell: str) -> str:
    """The name of a column: without small type, on one line."""
    return re.sub(r"<br><sub>.*", "", cell).replace("<br>", " ")


def first_line(cell: str) -> str:
    return cell.split("<br>")[0]


def second_line(cell: str) -> str:
    """The small type of a cell."""
    return cell.partition("<br><sub>")[2].removesuffix("</sub>")


def numbered(text: str) -> dict[str, str]:
    """The notes of a page by their number."""
    return dict(re.findall(r"^(\d+)\. (.*)$", text, re.MULTILINE))
