"""A frame goes through the network once, enlarged and normalised; candidates come back in frame pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from mmdet_scene import make_sample
from PIL import Image
from torch import Tensor, nn

from mitobench.api import Detections, Frame, Sample
from mitobench_mmdet.engine import ops
from mitobench_mmdet.paper.options import FasterRCNNOptions

ops.install()

from mmdet.structures import DetDataSample  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402

from mitobench_mmdet.engine.patch_stream import PatchStream  # noqa: E402
from mitobench_mmdet.paper.models import MEAN, STD, rpn  # noqa: E402
from mitobench_mmdet.paper.search import prepare, search  # noqa: E402


class FindsDark(nn.Module):
    """A network that finds dark pixels: one box around each component, or the boxes given to it."""

    def __init__(self, fixed: list[list[float]] | None = None) -> None:
        super().__init__()
        self.fixed = fixed

    def predict(self, inputs: Tensor, samples: list[DetDataSample]) -> list[DetDataSample]:
        from skimage.measure import label, regionprops

        regions = regionprops(label((inputs[0, 1] * STD[1] + MEAN[1]).numpy() < 130))
        boxes = [[r.bbox[1], r.bbox[0], r.bbox[3], r.bbox[2]] for r in regions] if self.fixed is None else self.fixed
        tensor = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        return [DetDataSample(pred_instances=InstanceData(bboxes=tensor, scores=torch.linspace(0.9, 0.5, len(tensor))))]


def found_in(frame: Frame, network: nn.Module, **changes: object) -> Detections:
    options = FasterRCNNOptions(**changes)
    return search(network, frame, options, options, "cpu")


@pytest.mark.parametrize("scale", [0.7, 1.0, 2.0])
def test_candidates_are_in_frame_pixels_whatever_the_scale(scale: float) -> None:
    centres = [(30, 30), (80, 90), (140, 40)]
    found = found_in(make_sample(centres).frame, FindsDark(), scale=scale)
    np.testing.assert_allclose(sorted(map(tuple, found.xy + 0.5)), sorted(centres), atol=1)
    np.testing.assert_allclose(found.boxes[:, 2:] - found.boxes[:, :2], 24, atol=2)


@pytest.mark.parametrize("turns", [1, 4, 8])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("mpp", [(0.2456, 0.2456), (0.4912, 0.2456), (0.1228, 0.1228)])
def test_a_network_that_learned_perfectly_gives_back_the_boxes_that_it_was_taught(
    mpp: tuple[float, float], scale: float, turns: int
) -> None:
    """Targets of a patch that is the whole frame, as the network's answer: turned views see them turned."""
    sample = make_sample([(64, 96)])
    sample = Sample(replace(sample.frame, mpp=mpp), sample.mitoses, sample.boxes)
    whole = FasterRCNNOptions(
        patch=4096, rotation=0, mirror=False, scale=scale, patch_stride=None, area_threshold=0, stain_jitter=0
    )
    if len(set(mpp)) == 1:  # a patch is square
        _, targets = PatchStream([sample], whole).patch(np.random.default_rng(0))
        found = found_in(sample.frame, FindsDark(targets.tolist()), scale=scale)
        np.testing.assert_allclose(found.boxes, sample.boxes, atol=1e-4)
    found = found_in(sample.frame, FindsDark(), scale=scale, tta_views=turns)
    np.testing.assert_allclose(found.xy, sample.mitoses.xy, atol=1e-4)


def test_a_frame_of_other_resolutions_along_x_and_y() -> None:
    frame = make_sample([(80, 90)]).frame
    stretched = Frame("s", "toy", "g", "A", (0.4912, 0.2456), frame.size, frame.reader)
    found = found_in(stretched, FindsDark())
    np.testing.assert_allclose(found.boxes, [[67.5, 77.5, 91.5, 101.5]], atol=1)


def test_the_network_sees_what_its_own_preprocessor_makes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    options = FasterRCNNOptions(width=0.1)
    preprocessor = rpn(options, options).data_preprocessor
    enlarged = np.asarray(Image.fromarray(pixels).resize((100, 80), Image.Resampling.BILINEAR))  # as training patches
    for image, scale, grey_levels in ((pixels, 1.0, 0), (enlarged, 2.0, 1.5)):
        tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())
        wanted = preprocessor({"inputs": [tensor], "data_samples": [DetDataSample()]})["inputs"]
        torch.testing.assert_close(prepare(pixels, scale, "cpu"), wanted, atol=grey_levels / min(STD), rtol=0)


def test_duplicates_are_suppressed_and_boxes_clipped_and_limited() -> None:
    network = FindsDark([[10, 10, 40, 40], [12, 10, 42, 40], [150, 150, 300, 300], [80, 80, 99, 99]])
    found = found_in(make_sample([]).frame, network, scale=1.0, max_per_image=2)
    np.testing.assert_allclose(found.boxes, [[9.5, 9.5, 39.5, 39.5], [149.5, 149.5, 159.5, 159.5]])


def test_a_frame_without_detections_gives_an_empty_result() -> None:
    assert len(found_in(make_sample([]).frame, FindsDark())) == 0


@pytest.mark.parametrize("turns", [4, 8])
def test_averaging_over_rotated_views_keeps_a_candidate_in_place(turns: int) -> None:
    centres = [(30, 30), (80, 90), (140, 40)]
    found = found_in(make_sample(centres).frame, FindsDark(), tta_views=turns)
    np.testing.assert_allclose(sorted(map(tuple, found.xy + 0.5)), sorted(centres), atol=1e-4)
    np.testing.assert_allclose(found.boxes[:, 2:] - found.boxes[:, :2], 24, atol=2)
    assert (np.diff(found.score) <= 0).all()


def test_the_views_scores_are_averaged_and_one_that_misses_a_candidate_counts_0() -> None:
    class MissesEveryOther(FindsDark):
        calls = 0

        def predict(self, inputs: Tensor, samples: list[DetDataSample]) -> list[DetDataSample]:
            self.calls += 1
            (found,) = super().predict(inputs, samples)
            found.pred_instances.scores = torch.full((1,), 0.8)
            return [found if self.calls % 2 else DetDataSample(pred_instances=found.pred_instances[:0])]

    network = MissesEveryOther()
    found = found_in(make_sample([(80, 90)]).frame, network, tta_views=4)
    assert network.calls == 4
    np.testing.assert_allclose(found.score, [0.4], rtol=1e-6)
