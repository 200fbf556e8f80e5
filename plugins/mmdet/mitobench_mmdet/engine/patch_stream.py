"""Training patches of `mitobench.training.BoxPatchStream`, as items of MMDetection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from numpy.typing import NDArray

from mitobench.api import Sample
from mitobench.training import BoxPatchStream
from mitobench_mmdet.engine.options import PatchTraining


class PatchStream(BoxPatchStream):
    """Draws training patches of labelled frames, as items of MMDetection.

    Args:
        samples: frames with mitoses and boxes.
        options: options of the patches, `mpp` and `scale`.

    Raises:
        PluginError: `positive_share` is above 0, but no frame has a mitosis.
    """

    def __init__(self, samples: Sequence[Sample], options: PatchTraining) -> None:
        super().__init__(samples, options, options.mpp, options.scale)

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draws an item: `inputs`, uint8 [3, side, side], and `data_samples` with the boxes, px of the patch."""
        image, boxes = self.patch(rng)
        instances = _instances(boxes)
        return {
            "inputs": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "data_samples": DetDataSample(
                metainfo={"img_shape": image.shape[:2]}, gt_instances=instances, ignored_instances=_instances(boxes[:0])
            ),
        }


def _instances(boxes: NDArray[np.float64]) -> InstanceData:
    """Returns boxes, [N, 4] px, as MMDetection takes them."""
    labels = torch.zeros(len(boxes), dtype=torch.long)
    return InstanceData(bboxes=torch.as_tensor(boxes, dtype=torch.float32), labels=labels)
