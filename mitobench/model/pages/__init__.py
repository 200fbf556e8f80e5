"""HTML pages about slides: a report on each, and an index of many. They need no network and no other file."""

from mitobench.model.pages.index_page import IndexRow, write_index
from mitobench.model.pages.slide_page import Report, write_report

__all__ = ["IndexRow", "Report", "write_index", "write_report"]
