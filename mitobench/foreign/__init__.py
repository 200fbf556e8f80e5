"""Reads untrusted files within limits, and prints untrusted text without control characters.

Records, model folders, profiles, splits and images may be untrusted files or damaged. All readers of such files
use this package:

- `limits`: the largest size or count of everything that is read.
- `files`: opens regular files only and reads at most their limit.
- `packed`: unpacks gzip up to a limit.
- `parsing`: reads JSON and TOML; refuses NaN, infinity, dates, numbers beyond 64 bits, deep nesting, duplicate keys.
- `versions`: refuses files of a newer version.
- `strict`: the base class of models that reject unknown keys.
- `classes`, `coco`, `geojson`, `midog25`, `sliderunner`: one reader for each form that both annotations and detections
  have.
- `boxes`: the corners of boxes, of which both take the mean.
- `image_names`: what a path in such a file may mean.
- `text`: shows control characters and escape sequences as text; keeps CSV cells from becoming formulas.
"""

from mitobench.foreign.files import check_regular, check_target, open_regular, read_bytes, read_text
from mitobench.foreign.packed import gunzip, read_unpacked
from mitobench.foreign.parsing import load_json, load_toml, read_json, read_toml
from mitobench.foreign.text import guard_cell, printable, unguard_cell
from mitobench.foreign.versions import check_version

__all__ = [
    "check_regular",
    "check_target",
    "check_version",
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
    "read_unpacked",
    "unguard_cell",
]
