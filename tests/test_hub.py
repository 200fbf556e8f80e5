"""Files of the Hugging Face Hub: the cache without permission, and with it what the hub has, if it is not too large."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from mitobench.errors import MitobenchError
from mitobench.hub import Repository, file_of, repository_of

library = pytest.importorskip("huggingface_hub")
constants = pytest.importorskip("huggingface_hub.constants")
errors = pytest.importorskip("huggingface_hub.errors")

OLD, NEW = "0" * 40, "1" * 40
BRANCH, COMMIT = Repository("org/name", "main"), Repository("org/name", OLD)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no permission to download."""
    monkeypatch.delenv("MITOBENCH_ALLOW_DOWNLOAD", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path / "models--org--name"


class StandIn:
    """Answers in place of the hub: a repository whose branch `main` is at the commit NEW.

    Attributes:
        files: the size of each file, bytes.
        problem: raised in place of every answer.
        served: the files that were downloaded.
    """

    def __init__(self, cache: Path) -> None:
        self.cache, self.files, self.problem, self.served = cache, dict[str, int | None](), None, list[str]()
        self.problem: Exception | None

    def metadata(self, url: str, timeout: float) -> SimpleNamespace:
        if self.problem is not None:
            raise self.problem
        name = url.rpartition("/")[2]
        if name not in self.files:
            raise errors.EntryNotFoundError(f"404 {url}")
        return SimpleNamespace(size=self.files[name])

    def download(self, repository: str, name: str, revision: str) -> str:
        self.served.append(name)
        return str(store(self.cache, name, NEW, self.files[name] or 0))


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn(cache)
    monkeypatch.setattr(library, "get_hf_file_metadata", stand_in.metadata)
    monkeypatch.setattr(library, "hf_hub_download", stand_in.download)
    return stand_in


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITOBENCH_ALLOW_DOWNLOAD", "1")


def store(cache: Path, name: str, commit: str = OLD, size: int = 3) -> Path:
    """Writes a file to the cache, whose branch `main` is then at this commit."""
    (cache / "refs").mkdir(parents=True, exist_ok=True)
    (cache / "refs" / "main").write_text(commit)
    path = cache / "snapshots" / commit / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


@pytest.mark.parametrize(
    ("text", "repository"),
    [
        ("org/name", BRANCH),
        (f"org/name@{OLD}", COMMIT),
        ("org/name@refs/pr/1", Repository("org/name", "refs/pr/1")),
        ("_org/na.me-2", Repository("_org/na.me-2", "main")),
        ("name", None),
        ("../name", None),
        ("org/na..me", None),
        ("org/name@../main", None),
        ("org/name@", None),
        ("org/name\n", None),
        ("org/nämé", None),
    ],
)
def test_a_repository_by_its_name(text: str, repository: Repository | None) -> None:
    assert repository_of(text) == repository


@pytest.mark.parametrize("repository", [BRANCH, COMMIT])
def test_without_permission_the_cache_is_used(cache: Path, hub: StandIn, repository: Repository) -> None:
    hub.files = {"a": 3, "b": 3}
    with pytest.raises(MitobenchError, match=r"^x: org/name at revision \S+ is not in the local .* Pass --allow-down"):
        file_of(repository, ["a"], 10, "x")
    path = store(cache, "b")
    assert file_of(repository, ["a", "b"], 10, "x") == path
    assert hub.served == []


@pytest.mark.usefixtures("allowed")
def test_with_permission_a_branch_is_what_the_hub_has_now(cache: Path, hub: StandIn) -> None:
    old = store(cache, "a")
    hub.files = {"a": 4}
    assert file_of(COMMIT, ["a"], 10, "x") == old
    assert hub.served == []
    assert file_of(BRANCH, ["a"], 10, "x") == cache / "snapshots" / NEW / "a"
    assert hub.served == ["a"]


@pytest.mark.usefixtures("allowed")
def test_the_first_file_that_the_repository_has_is_downloaded(hub: StandIn) -> None:
    hub.files = {"b": 1, "c": 1}
    assert file_of(BRANCH, ["a", "b", "c"], 10, "x").name == "b"
    assert hub.served == ["b"]
    with pytest.raises(MitobenchError, match="x: org/name at revision main has no d or e"):
        file_of(BRANCH, ["d", "e"], 10, "x")


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize("size", [11, None])
def test_a_file_that_is_too_large_is_not_downloaded(cache: Path, hub: StandIn, size: int | None) -> None:
    store(cache, "a")
    hub.files = {"a": size}
    with pytest.raises(MitobenchError, match=f"x: a has {size} bytes; at most 10 were expected"):
        file_of(BRANCH, ["a"], 10, "x")
    assert hub.served == []


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize("problem", [OSError("no network"), ValueError("401: gated\nand more")])
def test_without_the_hub_the_cache_is_used_with_a_warning(
    cache: Path, hub: StandIn, problem: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    hub.problem = problem
    with pytest.raises(MitobenchError, match=r"x: a of org/name cannot be downloaded: .*hf auth login") as error:
        file_of(BRANCH, ["a"], 10, "x")
    assert "and more" not in str(error.value)
    path = store(cache, "b")
    with caplog.at_level(logging.WARNING, "mitobench"):
        assert file_of(BRANCH, ["a", "b"], 10, "x") == path
    assert "the cached copy is used" in caplog.text
