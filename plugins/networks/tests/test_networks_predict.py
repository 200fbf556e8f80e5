"""A fitted network predicts where mmengine is not installed: only training needs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import sys
sys.modules["mmengine"] = None  # importing it raises
sys.path.insert(0, {tests!r})
import box_scene, torch, verifier_scene
from mitobench_networks.fcn.estimator import FCN
from mitobench_networks.verifiers.efficientnet import EfficientNetLite0
from mitobench_networks.verifiers.resnet import ResNet18

verifiers = [ResNet18(ResNet18.Options(width=1 / 16, patch=32)), EfficientNetLite0(EfficientNetLite0.Options(patch=32))]
for verifier in verifiers:
    verifier._network = verifier.untrained().eval()
    sample = verifier_scene.sample(0)
    assert len(verifier.score(sample.frame, sample.candidates)) == len(sample.candidates)
fcn = FCN(FCN.Options(width=1 / 32, tiles=1))
fcn._use(fcn._new().eval())
sample = box_scene.sample(0)
assert len(fcn.boxes(sample.frame, sample.mitoses)) == len(sample.mitoses)
"""


@pytest.mark.thorough
def test_networks_predict_without_mmengine() -> None:
    program = PROGRAM.format(tests=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
