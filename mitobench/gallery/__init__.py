"""What a record found and missed, on the frames themselves: of a record and its data, for the eye of a pathologist."""

from mitobench.gallery.gallery import Gallery, write

__all__ = ["Gallery", "write"]
