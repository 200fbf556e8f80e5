"""No learned plugin opens a socket when it is built, or looks for weights with `auto` or `none`."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mitobench import discovery
from mitobench.errors import MitobenchError, PluginError
from mitobench.pipeline.settings import Settings
from mitobench.training import find_weights, pretrained

pytestmark = pytest.mark.slow

ROLES = ("estimator", "detector", "verifier")
# Members that name published weights themselves: a config with `torchvision://`, a builder that defaults to ImageNet.
MORE = ("mmdet:retinanet_r18_fpn_1x_coco", "torchvision:ssdlite320_mobilenet_v3_large")


class Opened(BaseException):
    """A socket was opened. Not an Exception, because `auto` reports all exceptions and goes on."""


@pytest.fixture(autouse=True)
def no_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forbids sockets and the resolution of names; the weights folder is empty and downloads are not allowed."""

    def opened(*arguments: Any, **options: Any) -> None:
        raise Opened(arguments)

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, opened)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, opened)
    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("MITOBENCH_ALLOW_DOWNLOAD", raising=False)
    pretrained._stored.cache_clear()
    yield
    pretrained._stored.cache_clear()


def learned() -> list[tuple[str, str]]:
    """Returns role and spec of every installed plugin that learns; of a family its example."""
    found = []
    for role in ROLES:
        for name in discovery.names(role):
            try:
                spec = discovery.example(role, name)
                if discovery.load(role, spec).learns():
                    found.append((role, spec))
            except PluginError:  # broken, for example without torch
                continue
    families = {discovery.split(spec)[0] for _, spec in found}
    return [*found, *(("detector", spec) for spec in MORE if discovery.split(spec)[0] in families)]


def is_ours(role: str, spec: str) -> bool:
    return discovery.find(role, spec).package in ("mitobench-networks", "mitobench-mmdet")


@pytest.mark.parametrize("value", ["auto", "none"])
@pytest.mark.parametrize(("role", "spec"), learned())
def test_a_plugin_finds_its_weights_and_is_built_without_a_socket(role: str, spec: str, value: str) -> None:
    cls: Any = discovery.load(role, spec)
    options: Any = Settings.load("smoke").options(role, cls)
    if "pretrained" in cls.Options.model_fields:
        options = cls.Options.model_validate({**options.model_dump(), "pretrained": value})
    path = cls.pretrained(options)
    assert path is None or path.is_file()
    if cls.describe(options).get("parameters"):  # the network was built and its parameters counted
        return
    plugin = cls(options, "cpu")
    makes = [getattr(plugin, name) for name in ("untrained", "build", "_new") if hasattr(plugin, name)]
    assert makes or cls.requires(options) or not is_ours(role, spec), (
        "`rpn-extracted` has the network of another plugin"
    )
    for make in makes:
        try:
            make()
        except AttributeError:
            assert cls.requires(options)


@pytest.mark.parametrize("value", ["timm", "hf-hub:org/name", "hf-hub:org/name@v1", "package"])
def test_no_other_value_opens_a_socket_unless_it_is_allowed(value: str) -> None:
    pytest.importorskip("timm")
    with pytest.raises(MitobenchError):
        find_weights(value, "resnet18")


def test_a_download_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITOBENCH_ALLOW_DOWNLOAD", "1")
    with pytest.raises(Opened):
        find_weights("auto", "ResNet18_Weights.IMAGENET1K_V1")
