"""Galleries: show what a record found and missed on its test frames, for review by a pathologist."""

from mitobench.gallery.gallery import Gallery, write

__all__ = ["Gallery", "write"]
