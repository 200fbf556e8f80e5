"""Models by address: from the hub's local cache or a stand-in for the network, with permission, and complete."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from mitobench import registry
from mitobench.errors import MitobenchError
from mitobench.model import archive, fetching
from mitobench.model import card as cards
from mitobench.model.archive import safe_name, unpack
from model.toy_models import card

hub = pytest.importorskip("huggingface_hub")
constants = pytest.importorskip("huggingface_hub.constants")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
URL = "https://example.org/model.zip"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of models and of the hub, no permission to download, and no network."""

    def network(*_: object, **__: object) -> None:
        raise AssertionError("a socket would be opened")

    monkeypatch.setenv("MITOBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MITOBENCH_ALLOW_DOWNLOAD", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("hf_hub_download", "get_hf_file_metadata"):
        monkeypatch.setattr(hub, name, network)
    monkeypatch.setattr(fetching, "_open", network)
    return tmp_path / "cache" / "models"


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITOBENCH_ALLOW_DOWNLOAD", "1")


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A model folder with one file beside its card."""
    folder = tmp_path / "packed"
    (folder / "detector").mkdir(parents=True)
    (folder / "detector" / "w.json").write_text("{}")
    cards.write(folder, card(title="from afar"))
    return folder


def in_hub_cache(packed: Path, tmp_path: Path, repository: str = "org/model") -> Path:
    """Lays a model out as `hf download` does; returns the folder of its commit."""
    root = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    snapshot = root / "snapshots" / COMMIT
    for number, path in enumerate(sorted(path for path in packed.rglob("*") if path.is_file())):
        blob, link = root / "blobs" / str(number), snapshot / path.relative_to(packed)
        blob.parent.mkdir(exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, blob)
        link.symlink_to(blob)
    return snapshot


# ----------------------------------------------------------------------------------------------------------- hub


@pytest.mark.parametrize("revision", ["", "@main", f"@{COMMIT}"])
def test_a_model_in_the_hubs_cache_needs_no_network(packed: Path, tmp_path: Path, cache: Path, revision: str) -> None:
    in_hub_cache(packed, tmp_path)
    folder = cards.find(f"hf-hub:org/model{revision}")
    assert folder == cache / f"org--model@{COMMIT}"
    assert cards.read(folder).title == "from afar"
    shutil.rmtree(tmp_path / "hub")
    assert cards.find(f"hf-hub:org/model@{COMMIT}") == folder  # a commit needs the hub's cache only once


def test_a_model_that_is_not_here_names_the_flag(tmp_path: Path) -> None:
    with pytest.raises(MitobenchError, match=r"hf-hub:org/model@v1: org/model at revision v1 .* Pass --allow-down"):
        cards.find("hf-hub:org/model@v1")


def stand_in(packed: Path, monkeypatch: pytest.MonkeyPatch, sizes: Callable[[str], int]) -> list[str]:
    """Serves a model in place of the hub; returns the files that were downloaded."""
    served: list[str] = []

    def metadata(url: str, timeout: float) -> SimpleNamespace:
        return SimpleNamespace(size=sizes(url.partition(f"/{COMMIT}/")[2] or url.partition("/main/")[2]))

    def download(repository: str, file: str, revision: str) -> str:
        served.append(file)
        target = packed.parent / "snapshots" / COMMIT / file
        target.parent.mkdir(parents=True, exist_ok=True)
        return str(shutil.copyfile(packed / file, target))

    monkeypatch.setattr(hub, "get_hf_file_metadata", metadata)
    monkeypatch.setattr(hub, "hf_hub_download", download)
    return served


@pytest.mark.usefixtures("allowed")
def test_with_permission_it_is_downloaded_file_by_file(
    packed: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (packed / "README.md").write_text("not part of the model")
    served = stand_in(packed, monkeypatch, lambda file: (packed / file).stat().st_size)
    folder = cards.find("hf-hub:org/model")
    assert served == ["model.json", "detector/w.json"]
    assert folder == cache / f"org--model@{COMMIT}"
    assert cards.read(folder).title == "from afar"


@pytest.mark.usefixtures("allowed")
def test_a_file_that_is_larger_than_the_card_says_is_not_downloaded(
    packed: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = stand_in(packed, monkeypatch, lambda file: 10**9 if file.endswith("w.json") else 1)
    with pytest.raises(MitobenchError, match=r"w\.json has 1000000000 bytes; at most 2 were expected"):
        cards.find("hf-hub:org/model")
    assert served == ["model.json"]
    assert not any(cache.glob("org*"))


@pytest.mark.parametrize("file", ["../../evil.json", "/etc/evil.json", "a\\b.json", ".hidden", "x" * 300])
def test_a_card_whose_files_lead_elsewhere_is_refused(packed: Path, tmp_path: Path, cache: Path, file: str) -> None:
    content = cards.read(packed)
    evil = content.model_copy(update={"files": {file: content.files["detector/w.json"]}}).sealed()
    (packed / "model.json").write_text(json.dumps(evil.as_json()))
    in_hub_cache(packed, tmp_path)
    with pytest.raises(MitobenchError, match="which a model may not have"):
        cards.find("hf-hub:org/model")
    assert not any(cache.glob("*"))


def test_an_altered_file_is_refused_and_not_kept(packed: Path, tmp_path: Path, cache: Path) -> None:
    snapshot = in_hub_cache(packed, tmp_path)
    (snapshot / "detector" / "w.json").write_text("[]")
    with pytest.raises(MitobenchError, match="was altered"):
        cards.find("hf-hub:org/model")
    assert not any(cache.glob("*"))


# ------------------------------------------------------------------------------------------------------ archives


def zipped(packed: Path, below: str = "") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for path in sorted(path for path in packed.rglob("*") if path.is_file()):
            file.write(path, f"{below}{path.relative_to(packed).as_posix()}")
    return content.getvalue()


def tarred(packed: Path) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as file:
        file.add(packed, ".")
    return content.getvalue()


def served(content: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    """Serves an archive in place of the network; returns its address."""
    monkeypatch.setattr(fetching, "_open", lambda url: io.BytesIO(content))
    return f"{URL}#sha256={hashlib.sha256(content).hexdigest()}"


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize("make", [zipped, lambda folder: zipped(folder, "model-v1/"), tarred])
def test_an_archive_is_unpacked_once(
    packed: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], bytes]
) -> None:
    address = served(make(packed), monkeypatch)
    folder = cards.find(address)
    assert folder.parent == cache
    assert cards.read(folder).title == "from afar"
    monkeypatch.delenv("MITOBENCH_ALLOW_DOWNLOAD")
    assert cards.find(address) == folder
    assert [path.name for path in cache.iterdir()] == [folder.name]


def test_without_permission_nothing_is_downloaded(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MitobenchError, match=r"model\.zip: is not .* --allow-download \(in Python: allow="):
        cards.find(f"{URL}#sha256={'0' * 64}")


@pytest.mark.usefixtures("allowed")
def test_another_digest_and_too_many_bytes_are_refused(
    packed: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = served(zipped(packed), monkeypatch)
    with pytest.raises(MitobenchError, match=r"has SHA-256 .*, not 000"):
        cards.find(f"{URL}#sha256={'0' * 64}")
    monkeypatch.setattr(fetching, "MAX_MODEL_BYTES", 100)
    with pytest.raises(MitobenchError, match="more than 100 bytes"):
        cards.find(address)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "http://example.org/model.zip#sha256=" + "0" * 64,
        URL,
        f"{URL}#sha256=12",
        "hf-hub:model",
        "hf-hub:org/model@../x",
        "hf-hub:../x",
        "hf-hub:org/../x",
    ],
)
@pytest.mark.usefixtures("allowed")
def test_other_addresses_are_refused(name: str) -> None:
    with pytest.raises(
        MitobenchError,
        match=r"is not an address of a model\. Write hf-hub:ORG/NAME@REVISION or https.* DIGEST is the SHA-256",
    ):
        cards.find(name)


def test_a_redirection_that_leaves_https_is_refused() -> None:
    with pytest.raises(ValueError, match="which is not https"):
        fetching._HttpsOnly().redirect_request(None, None, 302, "", {}, "http://example.org/x")


def write_archive(path: Path, kind: str) -> None:
    """Writes an archive that must not be unpacked."""
    if kind == "zip with a way out":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("../evil.json", "{}")
    elif kind == "zip with a link":
        with zipfile.ZipFile(path, "w") as file:
            entry = zipfile.ZipInfo("link.json")
            entry.external_attr = 0o120777 << 16
            file.writestr(entry, "/etc/passwd")
    elif kind == "not an archive":
        path.write_bytes(b"hello" * 1000)
    elif kind == "a damaged zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("model.json", "{}" * 1000)
        content = bytearray(path.read_bytes())
        content[50] ^= 0xFF
        path.write_bytes(bytes(content))
    else:
        with tarfile.open(path, "w:gz") as file:
            entry_ = tarfile.TarInfo({"tar with a way out": "a/../../evil.json"}.get(kind, "x.json"))
            entry_.type = {"tar with a link": tarfile.SYMTYPE, "tar with a device": tarfile.CHRTYPE}.get(
                kind, tarfile.REGTYPE
            )
            entry_.linkname = "/etc/passwd" if kind == "tar with a link" else ""
            entry_.size = 2_000_000 if kind == "tar with many bytes" else 0
            file.addfile(entry_, io.BytesIO(bytes(entry_.size)))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("zip with a way out", "which a model may not have"),
        ("zip with a link", "is a link or a special file"),
        ("tar with a way out", "which a model may not have"),
        ("tar with a link", "is a link or a special file"),
        ("tar with a device", "is a link or a special file"),
        ("tar with many bytes", "holds more than 1,000,000 bytes"),
        ("not an archive", "cannot be unpacked"),
        ("a damaged zip", "cannot be unpacked"),
    ],
)
def test_bad_archives_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, message: str) -> None:
    monkeypatch.setattr(archive, "MAX_MODEL_BYTES", 1_000_000)
    write_archive(tmp_path / "archive", kind)
    (tmp_path / "in" / "model").mkdir(parents=True)
    with pytest.raises(MitobenchError, match=message):
        unpack(tmp_path / "archive", tmp_path / "in" / "model", "the archive")
    assert not list(tmp_path.rglob("evil*"))


def test_a_zip_that_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MODEL_BYTES", 1_000_000)
    with zipfile.ZipFile(tmp_path / "archive", "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(3):
            file.writestr(f"{number}.json", bytes(400_000))
    (tmp_path / "model").mkdir()
    with pytest.raises(MitobenchError, match="holds more than 1,000,000 bytes"):
        unpack(tmp_path / "archive", tmp_path / "model", "the archive")


@pytest.mark.parametrize("name", ["model.json", "detector/w.safetensors", "files/detector/weights/a_b-c+1.json"])
def test_ordinary_names_are_safe(name: str) -> None:
    assert safe_name(name)


# ------------------------------------------------------------------------------------------------------ registry


def test_the_registry_knows_models_by_name(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_hub_cache(packed, tmp_path)
    monkeypatch.setattr(registry, "ROOT", tmp_path / "registry")
    (tmp_path / "registry" / "models" / "small").mkdir(parents=True)
    shutil.copytree(packed, tmp_path / "registry" / "models" / "small", dirs_exist_ok=True)
    entry = tmp_path / "registry" / "models" / "far.toml"
    entry.write_text(f'title = "far"\nsource = "hf-hub:org/model@{COMMIT}"\nlicence = "Apache-2.0"\nsize_mb = 1\n')
    assert cards.find("bundled") == cards.find(None) == cards.find("small")
    assert cards.find("far").name == f"org--model@{COMMIT}"
    with pytest.raises(MitobenchError, match="Available: bundled, far, small"):
        cards.find("nowhere-at-all")
    entry.write_text('title = "far"\n')
    with pytest.raises(MitobenchError, match=r"far\.toml: source: Field required"):
        cards.find("far")
