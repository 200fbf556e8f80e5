"""What a shared annotation file says about one frame, as text for the frame's digest."""

from __future__ import annotations

import json
from collections.abc import Mapping

from mitobench.api import Mitoses


def annotation_text(mitoses: Mitoses, domains: Mapping[str, str]) -> str:
    """Returns labels, confidences and domains as one text: equal for equal annotations."""
    arrays = [mitoses.xy, mitoses.confidence, mitoses.imposters, mitoses.imposter_confidence]
    lists = [None if array is None else array.tolist() for array in arrays]
    return json.dumps([mitoses.labelled, *lists, dict(sorted(domains.items()))], sort_keys=True)
