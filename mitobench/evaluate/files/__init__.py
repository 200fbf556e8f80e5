"""Reads the detections of other tools, a module for each format. Formats are found by looking at the path and content.

- `csv_file`: CSV of points, corner boxes or x-y-width-height boxes, also the CSV that `mitobench predict` writes;
- `midog_json`: the MIDOG contests' JSON in mm;
- `geojson`: GeoJSON, as QuPath and `mitobench predict` write it;
- `coco`: COCO results;
- `sliderunner`: SlideRunner's sqlite databases;
- `reading`: reads any of them;
- `frame_names`, `labels`: which frame a name means, and which rows are mitoses;
- `table`: the common form of all formats, and the detections made from it;
- `hints`: simple changes of the reading, to try when nothing matches.
"""

from mitobench.evaluate.files.frame_names import FrameInfo
from mitobench.evaluate.files.hints import Alternative, alternatives
from mitobench.evaluate.files.reading import FORMATS, read, read_detections
from mitobench.evaluate.files.table import UM, FoundFile

__all__ = ["FORMATS", "UM", "Alternative", "FoundFile", "FrameInfo", "alternatives", "read", "read_detections"]
