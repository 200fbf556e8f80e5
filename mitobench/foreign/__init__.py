"""What comes from strangers and accidents: read within limits, shown without control characters.

Records, model folders, profiles, splits and images are made by people one does not know. Every reader of such a file
goes through this package:

- `limits`: the largest size or count of everything that is read, in one place.
- `files`: only regular files are opened, and never more of them is read than their limit.
- `packed`: gzip is unpacked until its limit and no further.
- `parsing`: JSON and TOML without NaN, infinity, dates, numbers beyond 64 bits, deep nesting or doubled keys.
- `text`: control characters and escape sequences are shown, not obeyed; CSV cells are no formulas.
"""

from mitobench.foreign.files import check_regular, check_target, open_regular, read_bytes, read_text
from mitobench.foreign.packed import gunzip
from mitobench.foreign.parsing import load_json, load_toml, read_json, read_toml
from mitobench.foreign.text import guard_cell, printable, unguard_cell

__all__ = [
    "check_regular",
    "check_target",
    "guard_cell",
    "gunzip",
    "load_json",
    "load_toml",
    "open_regular",
    "printable",
    "read_bytes",
    "read_json",
    "read_text",
    "read_toml",
    "unguard_cell",
]
