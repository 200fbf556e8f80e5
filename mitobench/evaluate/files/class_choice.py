"""Which column, property or key of a file of detections holds the classes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mitobench.evaluate.files.table import Table
from mitobench.foreign import classes


def option(name: str) -> str:
    """How a user says which column holds the classes."""
    return f"--class-column {shlex.quote(name)}"


def labelled(
    table: Table, described: Sequence[Mapping[str, str]], class_column: str | None, where: str, what: str
) -> Table:
    """Returns a table with the class of each row.

    Args:
        table: rows without classes.
        described: for each row its properties that may hold a class, as texts.
        class_column: the property that the user names; `none`: no property; None: it is found.
        where: the file, for messages.
        what: what holds classes in this format: `property`.

    Raises MitobenchError as `classes.class_column` does.
    """
    names = dict.fromkeys(name for one in described for name in one)
    columns = {name: [one.get(name, "") for one in described] for name in names}
    column = classes.class_column(columns, class_column, where, option)
    if column is None:
        return table
    texts = [classes.flag(column, text) or classes.UNCLASSIFIED for text in columns[column]]
    rows = [replace(row, label=text) for row, text in zip(table.rows, texts, strict=True)]
    return replace(table, rows=rows, classes_in=f"{what} {column}")
