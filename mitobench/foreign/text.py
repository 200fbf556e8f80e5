"""Makes untrusted text safe for terminals and spreadsheets."""

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
    """Returns a text in which control characters are written out: ESC becomes `\\x1b`.

    Args:
        text: any object; its `str` is used.
        limit: number of characters to show; None shows all.
        keep: control characters to leave as they are, for example line ends.
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
    """Returns a text cell of a CSV file, with a leading apostrophe if a spreadsheet would read it as a formula.

    For text only; write numbers as they are. `unguard_cell` undoes it.
    """
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def unguard_cell(text: str) -> str:
    """Returns the text that was passed to `guard_cell`."""
    return text[1:] if text.startswith("'") and text[1:].lstrip(" ").startswith(_FORMULA) else text
