"""Weights of the Hugging Face Hub are read from its local cache; a download needs the user's permission."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from mitobench.errors import MitobenchError
from mitobench.foreign.limits import MAX_WEIGHTS_BYTES
from mitobench.training import downloads, find_weights

hub = pytest.importorskip("huggingface_hub")
timm = pytest.importorskip("timm")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TENSORS = {"conv_stem.weight": torch.arange(4.0)}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder, an empty cache of the hub, and no permission to download."""
    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("MITOBENCH_ALLOW_DOWNLOAD", raising=False)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "weights"


def _cache(folder: Path, repository: str, file: str = "model.safetensors") -> Path:
    """Writes a repository to the cache, as `hf download` lays it out."""
    root = folder.parent / "hub" / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    blob, link = root / "blobs" / "digest", root / "snapshots" / COMMIT / file
    blob.parent.mkdir()
    link.parent.mkdir(parents=True)
    if file.endswith(".bin"):
        torch.save(TENSORS, blob)
    else:
        save_file(TENSORS, blob)
    link.symlink_to(blob)
    return blob


@pytest.mark.parametrize("file", downloads.HUB_FILES)
@pytest.mark.parametrize("revision", ["", "@main", f"@{COMMIT}"])
def test_a_repository_in_the_cache_is_stored_under_its_commit(folder: Path, file: str, revision: str) -> None:
    _cache(folder, "org/encoder", file)
    path = find_weights(f"hf-hub:org/encoder{revision}", "any")
    assert path == folder / f"org--encoder@{COMMIT[:12]}.safetensors"
    assert load_file(path)["conv_stem.weight"].tolist() == [0, 1, 2, 3]


def test_a_commit_in_the_weights_folder_needs_no_cache(folder: Path) -> None:
    folder.mkdir()
    save_file(TENSORS, folder / f"org--encoder@{COMMIT[:12]}.safetensors")
    assert find_weights(f"hf-hub:org/encoder@{COMMIT}", "any") is not None


def test_timm_means_the_networks_own_repository(folder: Path) -> None:
    _cache(folder, "timm/tf_efficientnet_lite0.in1k")
    path = find_weights("timm", "tf_efficientnet_lite0")
    assert path == folder / f"timm--tf_efficientnet_lite0.in1k@{COMMIT[:12]}.safetensors"


@pytest.mark.parametrize(
    ("requested", "name", "messages"),
    [
        ("timm", "tf_efficientnet_lite0", ["timm/tf_efficientnet_lite0.in1k", "--allow-download", "hf download"]),
        ("timm", "vgg_cnn_m_1024", ["timm has no network 'vgg_cnn_m_1024'"]),
        ("hf-hub:org/encoder@v2", "any", ["org/encoder at revision v2 is not in the local", "--allow-download"]),
        ("hf-hub:encoder", "any", ["must be hf-hub:ORG/NAME or hf-hub:ORG/NAME@REVISION"]),
        ("hf-hub:../../etc/passwd", "any", ["must be hf-hub:ORG/NAME"]),
    ],
)
def test_what_is_not_here_is_an_error_that_says_what_to_do(requested: str, name: str, messages: list[str]) -> None:
    with pytest.raises(MitobenchError) as error:
        find_weights(requested, name)
    for message in messages:
        assert message in str(error.value)


def test_a_download_happens_only_where_it_is_allowed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def metadata(url: str, timeout: float) -> SimpleNamespace:
        asked.append(url.rpartition("/")[2])
        if url.endswith("/model.safetensors"):
            raise hub.errors.EntryNotFoundError("absent")
        return SimpleNamespace(size=100)

    def download(repository: str, file: str, revision: str) -> str:
        _cache(folder, repository, file)
        return str(folder.parent / "hub" / "models--org--encoder" / "snapshots" / COMMIT / file)

    monkeypatch.setattr(hub, "get_hf_file_metadata", metadata)
    monkeypatch.setattr(hub, "hf_hub_download", download)
    with pytest.raises(MitobenchError):
        find_weights("hf-hub:org/encoder", "any")
    assert asked == []
    monkeypatch.setenv("MITOBENCH_ALLOW_DOWNLOAD", "1")
    assert find_weights("hf-hub:org/encoder", "any") == folder / f"org--encoder@{COMMIT[:12]}.safetensors"
    assert asked == list(downloads.HUB_FILES[:2])


def test_weights_that_are_too_large_are_not_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    size = MAX_WEIGHTS_BYTES + 1
    monkeypatch.setattr(hub, "get_hf_file_metadata", lambda url, timeout: SimpleNamespace(size=size))
    monkeypatch.setattr(hub, "hf_hub_download", lambda *_, **__: pytest.fail("was downloaded"))
    monkeypatch.setenv("MITOBENCH_ALLOW_DOWNLOAD", "1")
    with pytest.raises(MitobenchError, match=rf"model\.safetensors has {size} bytes; at most"):
        find_weights("hf-hub:org/encoder", "any")


def test_a_pickle_of_a_repository_is_read_as_tensors(folder: Path) -> None:
    blob = _cache(folder, "org/encoder", "pytorch_model.bin")
    torch.save({"a": torch.nn.Linear(1, 1)}, blob)
    with pytest.raises(MitobenchError, match="cannot be read as a state dict of tensors"):
        find_weights("hf-hub:org/encoder", "any")
