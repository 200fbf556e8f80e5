"""Suffixes of the files that the reader reads, and of files that lie beside images and are none."""

from __future__ import annotations

PLAIN = frozenset({".bmp", ".png", ".jpg", ".jpeg", ".jp2", ".j2k", ".webp"})
TIFF = frozenset({".tif", ".tiff", ".btf", ".tf8", ".tf2"})
SLIDES = frozenset({".svs", ".ndpi", ".scn", ".bif", ".mrxs", ".vms", ".vmu", ".svslide", ".dcm"})
READ_SUFFIXES = PLAIN | TIFF | SLIDES

# Files that people keep beside their images. Any other file that is not read may be an image, and is reported.
COMPANION_SUFFIXES = frozenset(
    {
        "", ".csv", ".tsv", ".txt", ".md", ".rst", ".html", ".pdf", ".log", ".doc", ".docx", ".xls", ".xlsx", ".ods",
        ".json", ".geojson", ".xml", ".yaml", ".yml", ".toml", ".ini", ".sqlite", ".db", ".qpdata", ".qpproj",
        ".py", ".ipynb", ".sh", ".bat", ".dat", ".lock", ".zip", ".gz", ".tar", ".sha256", ".md5",
    }
)  # fmt: skip
