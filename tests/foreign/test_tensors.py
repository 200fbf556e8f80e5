"""The header of a safetensors file is read without torch; damaged and hostile ones are refused."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from mitobench.errors import PluginError
from mitobench.foreign.tensors import tensor_shapes


def _bytes(header: bytes, size: int | None = None) -> bytes:
    return (len(header) if size is None else size).to_bytes(8, "little") + header


def test_the_shape_of_each_tensor_is_read(tmp_path: Path) -> None:
    tensors = {"a.weight": np.zeros((2, 3), np.float32), "b": np.zeros((), np.float16), "none": np.zeros((0, 4))}
    save_file(tensors, tmp_path / "w.safetensors", metadata={"from": "here"})
    assert tensor_shapes(tmp_path / "w.safetensors") == {"a.weight": (2, 3), "b": (), "none": (0, 4)}


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff" * 8, _bytes(b"[]"), _bytes(b'{"a": 5}'), _bytes(b'{"a": {"shape": 1}}'), _bytes(b"[" * 100_000)],
)
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(PluginError, match=r"w\.safetensors: cannot be read as \.safetensors"):
        tensor_shapes(path)


@given(st.binary(max_size=60))
def test_no_content_is_a_crash(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "w.safetensors"
    path.write_bytes(content)
    with suppress(PluginError):
        tensor_shapes(path)
