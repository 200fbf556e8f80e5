"""The networks of detectors and verifiers are exported as they predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packaging.version import Version
from verifier_scene import sample

from mitobench import discovery
from mitobench.api import PluginError
from mitobench.training.export import export, runner

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        Version(torch.__version__) < Version("2.6"), reason="torch 2.5 exports neither of these networks"
    ),
]
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def fitted(role: str, spec: str, **options: Any) -> Any:
    """A plugin with random weights."""
    cls: Any = discovery.load(role, spec)
    plugin = cls(cls.Options(pretrained="none", **options))
    torch.manual_seed(0)
    plugin._network = plugin.untrained().eval()
    return plugin


def test_a_verifier_gives_the_scores_that_it_gives_here(tmp_path: Path) -> None:
    verifier = fitted("verifier", "resnet18", width=0.125, patch=32, mpp=None, tta_views=4)
    assert export(verifier.exportable(), tmp_path / "it.onnx") <= 1e-4
    from mitobench.training import cut

    one = sample(0)
    patches = cut(one.frame, one.candidates.xy, 32, None)
    (theirs,) = onnxruntime.InferenceSession(str(tmp_path / "it.onnx")).run(None, {"input": patches})
    np.testing.assert_allclose(theirs, verifier.score(one.frame, one.candidates), atol=1e-4)


@pytest.mark.thorough
def test_a_heat_map_is_exported_for_images_of_any_size(tmp_path: Path) -> None:
    detector = fitted("detector", "heatmap:test_resnet", decoder_channels=(8, 8, 8, 8, 8))
    assert export(detector.exportable(), tmp_path / "it.onnx") <= 1e-4
    image = np.random.default_rng(0).integers(0, 256, (1, 96, 32, 3), dtype=np.uint8)
    (theirs,) = onnxruntime.InferenceSession(str(tmp_path / "it.onnx")).run(None, {"input": image})
    assert theirs.shape == (1, 48, 16)
    with torch.no_grad():
        ours = detector._network(torch.from_numpy(image)).sigmoid()
    np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_an_exported_network_predicts_in_place_of_the_own() -> None:
    verifier = fitted("verifier", "resnet18", width=0.125, patch=32, mpp=None, tta_views=4)
    detector = fitted("detector", "heatmap:test_resnet", decoder_channels=(8, 8, 8, 8, 8), tta_views=4, score_floor=0)
    one = sample(0)
    own = detector.predict(one.frame), verifier.score(one.frame, one.candidates)
    calls = []
    for plugin in (detector, verifier):
        network = plugin.exportable().network

        def run(given: torch.Tensor, network: Any = network) -> torch.Tensor:
            calls.append(given.dtype)
            with torch.no_grad():
                return network(given)

        plugin.use_exported(run)
    found = detector.predict(one.frame)
    assert len(found) > 0
    np.testing.assert_allclose(np.sort(found.score), np.sort(own[0].score), atol=1e-6)
    np.testing.assert_allclose(verifier.score(one.frame, one.candidates), own[1], atol=1e-6)
    assert calls == [torch.uint8] * 2


def test_a_file_that_is_not_a_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "it.onnx").write_bytes(b"not a network")
    with pytest.raises(PluginError, match=r"it\.onnx: ONNX Runtime cannot read it"):
        runner(tmp_path / "it.onnx")
