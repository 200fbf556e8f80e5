"""Text of foreign origin, made safe for a terminal and for a spreadsheet."""

from __future__ import annotations

import re
import unicodedata

from mitobench.foreign.limits import MAX_SHOWN

# Control (C0, C1), format (bidi overrides, zero width), surrogate, line and paragraph separators.
_OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_SUSPECT = re.compile(r"[^\x20-\x7e]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def printable(text: object, limit: int | None = MAX_SHOWN, keep: str = "") -> str:
    """Text in which every character that a terminal would obey is spelled out: ESC is shown as `\\x1b`.

    Args:
        text: anything; its `str`.
        limit: characters that are shown of it; None: all.
        keep: control characters that stay as they are, for example a line's end.
    """
    text = str(text)
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}... ({len(text) - limit:,} more characters)"
    return _SUSPECT.sub(lambda found: _shown(found[0], keep), text)


def _shown(character: str, keep: str) -> str:
    if character in keep or unicodedata.category(character) not in _OBEYED:
        return character
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def guard_cell(text: str) -> str:
    """A text cell of a CSV file, with an apostrophe before it where a spreadsheet would take it for a formula.

    For text only: a number is written as it is. `unguard_cell` gives the text back.
    """
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def unguard_cell(text: str) -> str:
    """The text that `guard_cell` was given."""
    return text[1:] if text.startswith("'") and text[1:].lstrip(" ").startswith(_FORMULA) else text
