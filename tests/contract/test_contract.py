"""Every installed plugin passes all checks; new plugins are tested automatically."""

import pytest

from mitobench import contract, discovery

pytestmark = pytest.mark.slow

EVERY = [(role, name) for role in discovery.ROLES for name in discovery.names(role)]
SLOW = (
    "mmdet",
    "torchvision",
    "timm",
    "resnet50",
    "rpn-extracted",
)  # networks that other plugins also have, or like them
CHECKS = [
    pytest.param(check, marks=[pytest.mark.thorough] if name in SLOW else [])
    for role, name in EVERY
    for check in contract.checks(role, name)
]


@pytest.fixture(autouse=True)
def _one_thread():
    """Limits torch to one thread, because several tests may run at once."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_every_plugin(check):
    check()
