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
from mitobench.training.export import export

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
