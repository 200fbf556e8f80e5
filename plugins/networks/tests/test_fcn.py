from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from box_scene import CENTRES, RADIUS, sample
from safetensors.torch import save_file

from mitobench.api import Mitoses, PluginError, mask_box
from mitobench.methods.fixed import Fixed
from mitobench.training import runner
from mitobench.training.pretrained import read_tensors
from mitobench_networks.fcn.estimator import FCN
from mitobench_networks.fcn.mask_patches import TileStream
from mitobench_networks.fcn.network import FCN8s, normalised

pytestmark = pytest.mark.slow

TINY = {
    "width": 1 / 16,
    "mpp": None,
    "patch": 64,
    "patches": "anywhere",
    "positive_share": 0.75,
    "tiles": 2,
    "norm": "batch",
    "dropout": 0.0,
    "batch_size": 4,
    "optimizer": "adamw",
    "lrs": (3e-3, 3e-3, 3e-3),
    "reduction": "mean",
}


def tiny(**options):
    return FCN(FCN.Options(**{**TINY, "iterations": (2, 2, 2), **options}))


def with_probability(probability, **options):
    """Returns an FCN whose network returns `probability`, and the list of frames that it was called with."""
    fcn, calls = tiny(**options), []

    def predicted(frame):
        calls.append(frame.key)
        return probability, np.array(probability.shape[::-1]) / frame.size

    fcn.probability = predicted
    fcn._last = None
    return fcn, calls


def blobs(*spans, size=128):
    """A probability map, high in the given (x1, y1, x2, y2)."""
    probability = np.full((size, size), 0.1)
    for x1, y1, x2, y2 in spans:
        probability[y1:y2, x1:x2] = 0.9
    return probability


FRAME, MITOSES = sample(0).frame, Mitoses(np.array(CENTRES))


def test_the_box_is_that_of_the_blob_under_the_centroid_else_fixed():
    fcn, _ = with_probability(blobs((30, 45, 55, 60), (100, 10, 120, 30)))
    np.testing.assert_array_equal(fcn.boxes(FRAME, MITOSES), [[29.5, 44.5, 54.5, 59.5], [81, 73, 111, 103]])
    np.testing.assert_array_equal(fcn.covered(FRAME, MITOSES), [True, False])


def test_blobs_at_another_resolution_give_boxes_in_frame_pixels():
    fcn, _ = with_probability(blobs((15, 22, 28, 30), size=64))
    np.testing.assert_array_equal(fcn.boxes(FRAME, MITOSES)[0], [29.5, 43.5, 55.5, 59.5])


@pytest.mark.parametrize("size", [128, 64, 32])
def test_the_box_of_a_blob_like_the_mask_is_centred_on_its_centroid(size):
    """At the network's resolution the blob has `size / 128` of the mask's pixels along each side."""
    y, x = np.mgrid[44:60, 32:56]
    mask = np.stack([x.ravel(), y.ravel()], axis=1)
    factor = size / 128
    left, top, right, bottom = (int(n * factor) for n in (32, 44, 56, 60))
    fcn, _ = with_probability(blobs((left, top, right, bottom), size=size))
    centroid = mask.mean(axis=0)
    (box,) = fcn.boxes(FRAME, Mitoses(centroid[None]))
    np.testing.assert_allclose((box[:2] + box[2:]) / 2, centroid)
    np.testing.assert_allclose(box, mask_box(mask))


def test_a_blob_too_large_for_a_mitosis_gives_no_box():
    fcn, _ = with_probability(blobs((0, 40, 128, 60)), max_side=100)
    np.testing.assert_array_equal(fcn.boxes(FRAME, MITOSES), Fixed().boxes(FRAME, MITOSES))
    assert not fcn.covered(FRAME, MITOSES).any()


def test_a_network_with_the_same_output_everywhere_gives_fixed_boxes():
    fcn, _ = with_probability(np.full((128, 128), 0.3))
    np.testing.assert_array_equal(fcn.boxes(FRAME, MITOSES), Fixed().boxes(FRAME, MITOSES))


def test_a_centroid_on_the_frames_edge_is_looked_up_inside():
    fcn, _ = with_probability(blobs((110, 110, 128, 128)))
    np.testing.assert_array_equal(fcn.boxes(FRAME, Mitoses(np.array([[128.0, 128.0]]))), [[109.5, 109.5, 127.5, 127.5]])


def test_a_frame_is_segmented_once_for_boxes_and_covered():
    fcn, calls = with_probability(blobs((30, 45, 55, 60)))
    fcn.boxes(FRAME, MITOSES), fcn.covered(FRAME, MITOSES)
    fcn.boxes(replace(FRAME, id="other"), MITOSES)
    assert calls == ["toy/f0", "toy/other"]


def test_a_frame_without_mitoses_is_not_segmented():
    fcn, calls = with_probability(blobs())
    nothing = Mitoses(np.zeros((0, 2)))
    assert fcn.boxes(FRAME, nothing).shape == (0, 4)
    assert fcn.covered(FRAME, nothing).shape == (0,)
    assert not calls


@pytest.mark.thorough
def test_it_learns_boxes_from_masks(context):
    fcn = tiny(iterations=(10, 10, 40), batch_size=2)
    fcn.fit([sample(seed) for seed in range(3)], [], context)
    unseen = sample(99)
    assert fcn.covered(unseen.frame, unseen.mitoses).all()
    truth = [[x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS] for x, y in CENTRES]
    np.testing.assert_allclose(fcn.boxes(unseen.frame, unseen.mitoses), truth, atol=8)


@pytest.mark.parametrize("tiles", [1, 3])
def test_tiles_cover_the_frame_that_they_do_not_divide(context, tiles):
    fcn = tiny(tiles=tiles)
    fcn.fit([sample(0)], [], context)
    probability, factors = fcn.probability(FRAME)
    assert probability.shape == (128, 128)
    assert (probability > 0).all()
    np.testing.assert_array_equal(factors, [1, 1])


def test_an_interrupted_training_ends_with_the_same_weights(context, tmp_path, monkeypatch):
    through, resumed, samples = tiny(), tiny(), [sample(0)]
    through.fit(samples, [], replace(context, work=tmp_path / "through"))
    left = iter(range(3))

    def killed(done, total):
        if next(left, None) is None:  # in the second step at stride 16
            raise KeyboardInterrupt

    monkeypatch.setattr(runner, "CHECKPOINT_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        resumed.fit(samples, [], replace(context, progress=killed))
    resumed.fit(samples, [], context)
    assert _weights(resumed, tmp_path / "a") == _weights(through, tmp_path / "b")


def test_a_loaded_estimator_gives_the_boxes_of_the_saved_one(context, tmp_path):
    fcn, again = tiny(), tiny()
    fcn.fit([sample(0)], [], context)
    fcn.save(tmp_path)
    again.load(tmp_path)
    np.testing.assert_array_equal(again.probability(FRAME)[0], fcn.probability(FRAME)[0])
    np.testing.assert_array_equal(again.boxes(FRAME, MITOSES), fcn.boxes(FRAME, MITOSES))


def test_prediction_stitches_four_by_four_tiles_and_thresholds_the_whole_frame():
    """A frame of 131 x 122 px, not divisible by four, has a faint blob, a clear one, and one across two tile edges."""
    image = np.full((122, 131, 3), 50, np.uint8)
    for x, y, light in ((10, 10, 80), (100, 90, 230), (58, 54, 230)):
        image[y : y + 14, x : x + 14] = light
    frame = replace(FRAME, id="odd", size=(131, 122), reader=lambda: image)
    fcn, seen = FCN(FCN.Options(mpp=None)), []

    def brightness(tile):
        seen.append(tuple(tile.shape[2:]))
        return torch.stack([torch.zeros_like(tile[:, 0]), tile[:, 0]], dim=1)

    fcn._use(brightness)
    probability, _ = fcn.probability(frame)
    heights = (30, 31, 31, 30)  # between 0, 30(.5), 61, 92(91.5) and 122
    widths = (33, 33, 32, 33)  # between 0, 33(32.75), 66(65.5), 98(98.25) and 131
    assert seen == [(height, width) for height in heights for width in widths]
    scores = normalised(torch.from_numpy(image[None]))[0, 0].double()
    np.testing.assert_allclose(probability, scores.sigmoid(), rtol=1e-5)
    faint, clear, across = [17.0, 17.0], [107.0, 97.0], [65.0, 61.0]
    centroids = Mitoses(np.array([faint, clear, across]))
    np.testing.assert_array_equal(fcn.covered(frame, centroids), [False, True, True])
    fixed = [2, 2, 32, 32]
    np.testing.assert_array_equal(
        fcn.boxes(frame, centroids), [fixed, [99.5, 89.5, 113.5, 103.5], [57.5, 53.5, 71.5, 67.5]]
    )


def test_boxes_never_read_the_masks_of_their_frame():
    class MasksForbidden(Mitoses):
        def __getattribute__(self, name):
            assert name != "masks"
            return super().__getattribute__(name)

    fcn, _ = with_probability(blobs((30, 45, 55, 60)))
    mitoses = MasksForbidden(np.array(CENTRES), sample(0).mitoses.masks)
    np.testing.assert_array_equal(fcn.boxes(FRAME, mitoses), fcn.boxes(FRAME, MITOSES))
    np.testing.assert_array_equal(fcn.covered(FRAME, mitoses), [True, False])


def _weights(fcn, folder: Path) -> bytes:
    folder.mkdir()
    fcn.save(folder)
    return (folder / "weights.safetensors").read_bytes()


# ------------------------------------------------------------------------------------------------ as published


def test_the_defaults_are_the_papers():
    options = FCN.Options()
    assert (options.side, options.patch, options.tiles, options.batch_size) == (30, 521, 4, 1)
    assert (options.patches, options.positive_share, options.pretrained) == ("tiles", None, "auto")
    assert (options.width, options.norm, options.stain_jitter) == (1, "none", 0)
    assert (options.lrs, options.reduction) == ((1e-10, 1e-13, 1e-14), "sum")
    assert (options.optimizer, options.momentum, options.weight_decay) == ("sgd", 0.99, 5e-4)


def test_each_stride_trains_the_same_network_with_its_own_learning_rate(context, monkeypatch):
    calls = []

    def recorded(model, stream, context, *, iterations, batch_size, optimizer, name):
        assert isinstance(stream, TileStream)
        calls.append((name, iterations, batch_size, optimizer, model.network.stride, id(model.network)))

    monkeypatch.setattr("mitobench.training.train", recorded)
    fcn = FCN(FCN.Options(width=1 / 32, mpp=None, iterations=(3, 2, 1)))
    fcn.fit([sample(0)], [], context)
    sgd = {"type": "SGD", "momentum": 0.99, "weight_decay": 5e-4}
    same = id(fcn._network)
    assert calls == [
        ("fcn32s", 3, 1, {**sgd, "lr": 1e-10}, 32, same),
        ("fcn16s", 2, 1, {**sgd, "lr": 1e-13}, 16, same),
        ("fcn8s", 1, 1, {**sgd, "lr": 1e-14}, 8, same),
    ]


def test_the_gradient_of_the_summed_loss_is_that_of_the_mean_times_the_number_of_pixels(context, tmp_path):
    side, lr = 64, 1e-7
    published = {"norm": "none", "batch_size": 1, "optimizer": "sgd", "weight_decay": 0.0, "patch": side}
    summed = tiny(**published, reduction="sum", iterations=(1, 1, 1), lrs=(lr,) * 3)
    mean = tiny(**published, reduction="mean", iterations=(1, 1, 1), lrs=(lr * side * side,) * 3)
    summed.fit([sample(0)], [], context)
    mean.fit([sample(0)], [], replace(context, work=tmp_path / "mean"))
    one, other = summed._network.score.bias.detach(), mean._network.score.bias.detach()
    assert one.abs().min() > 0  # it starts at zero
    torch.testing.assert_close(one, other, rtol=1e-4, atol=0.0)


def test_scale_shortens_all_three_strides_and_sides_are_read_at_prediction_only():
    assert FCN.schedule == ("iterations",)
    assert set(FCN.inference_options) == {"side", "max_side"}


# ---------------------------------------------------------------------------------------------- pretrained weights


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """The weights folder; nothing is downloaded into it."""
    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("MITOBENCH_ALLOW_DOWNLOAD", raising=False)
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def vgg16_file(path: Path, width: float, **changed) -> Path:
    """A file as torchvision publishes VGG16, at `width`, with random numbers except for `changed`."""
    generator = torch.Generator().manual_seed(7)
    tensors = {name: torch.randn(t.shape, generator=generator) / 10 for name, t in FCN8s(width).vgg16().items()}
    tensors |= {"classifier.6.weight": torch.zeros(10, 8), "classifier.6.bias": torch.zeros(10), **changed}
    if path.suffix == ".npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in tensors.items()})
    else:
        save_file(tensors, path)
    return path


def test_auto_uses_imagenet_weights_if_they_fit(weights):
    published = weights / "VGG16_Weights.IMAGENET1K_V1.safetensors"
    published.touch()
    assert FCN.pretrained(FCN.Options()) == published
    assert FCN.pretrained(FCN.Options(width=0.5)) is None
    assert FCN.pretrained(FCN.Options(norm="batch")) is None
    assert FCN.pretrained(FCN.Options(pretrained="none")) is None


def test_a_given_file_is_used_for_any_architecture(weights):
    (weights / "mine.npz").touch()
    mine = FCN.Options(pretrained=str(weights / "mine.npz"), width=0.5, norm="batch")
    assert FCN.pretrained(mine) == weights / "mine.npz"


@pytest.mark.parametrize("file", ["vgg16.safetensors", "vgg16.npz"])
def test_training_starts_from_the_weights_of_the_file(context, weights, file):
    path = vgg16_file(weights / file, TINY["width"])
    fcn = tiny(norm="none", optimizer="sgd", lrs=(1e-30,) * 3, iterations=(1, 1, 1))
    fcn.fit([sample(0)], [], replace(context, pretrained=path))
    for name, tensor in fcn._network.vgg16().items():
        torch.testing.assert_close(tensor, read_tensors(path)[name], msg=name)


def test_a_file_that_does_not_fit_lists_its_tensors(context, weights):
    path = vgg16_file(
        weights / "vgg16.npz", TINY["width"], **{"features.0.bias": torch.zeros(5), "extra": torch.ones(1)}
    )
    with pytest.raises(PluginError) as error:
        tiny(norm="batch").fit([sample(0)], [], replace(context, pretrained=path))
    for message in ("missing features.1.running_mean", "unexpected extra", "features.0.bias is (5,), must be (4,)"):
        assert message in str(error.value)


@pytest.mark.parametrize(("reduction", "wanted"), [("mean", True), ("sum", False)])
def test_a_summed_loss_disables_half_precision(context, monkeypatch, reduction, wanted):
    seen = []
    monkeypatch.setattr("mitobench.training.train", lambda model, stream, context, **more: seen.append(context.amp))
    tiny(reduction=reduction).fit([sample(0)], [], replace(context, amp=True))
    assert seen == [wanted] * 3
