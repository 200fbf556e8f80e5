"""Reads .caffemodel files byte by byte: every generation of layers, packed or not, and damaged files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from caffe_bytes import chunk, four_axes, integer, layer, layer_v0, layer_v1, network, reals, shaped, varint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mitobench.errors import MitobenchError
from mitobench_mmdet.paper.caffemodel import read_caffemodel

Layer = Callable[..., bytes]
Blob = Callable[..., bytes]
GENERATIONS = pytest.mark.parametrize(
    ("layer", "blob"),
    [(layer, shaped), (layer_v1, four_axes), (layer_v0, four_axes)],
    ids=["layer", "V1LayerParameter", "V0LayerParameter"],
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(*layers: bytes) -> Path:
        path = tmp_path / "net.caffemodel"
        path.write_bytes(network(*layers))
        return path

    return write


# -------------------------------------------------------------------------------------------------- what it is


@GENERATIONS
@pytest.mark.parametrize("packed", [True, False], ids=["packed", "unpacked"])
def test_names_shapes_and_values(write: Callable[..., Path], layer: Layer, blob: Blob, packed: bool) -> None:
    kernel = np.arange(24, dtype=np.float32) / 7
    path = write(
        layer("conv1", "conv", blob((2, 3, 2, 2), kernel, packed), blob((2,), (0.5, -1.5), packed)),
        layer("relu1", "relu"),
        layer("fc6", "fc", blob((3, 2), (1, 2, 3, 4, 5, 6), packed), blob((3,), (7, 8, 9), packed)),
    )
    found = read_caffemodel(path)
    assert list(found) == ["conv1.weight", "conv1.bias", "fc6.weight", "fc6.bias"]
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(found["conv1.weight"], kernel.reshape(2, 3, 2, 2))
    np.testing.assert_array_equal(found["conv1.bias"], [0.5, -1.5])
    np.testing.assert_array_equal(found["fc6.weight"], [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(found["fc6.bias"], [7, 8, 9])


@GENERATIONS
def test_sizes_of_one_are_kept_where_they_belong(write: Callable[..., Path], layer: Layer, blob: Blob) -> None:
    found = read_caffemodel(
        write(
            layer("one-to-one", "conv", blob((1, 1, 2, 2), (1, 2, 3, 4)), blob((1,), (5,))),
            layer("one-out", "fc", blob((1, 3), (1, 2, 3)), blob((1,), (4,))),
        )
    )
    assert [array.shape for array in found.values()] == [(1, 1, 2, 2), (1,), (1, 3), (1,)]


def test_a_layer_may_hold_more_or_fewer_than_two(write: Callable[..., Path]) -> None:
    one = shaped((1,), (1,))
    found = read_caffemodel(write(layer("bn", "conv", one, one, one, one), layer("scale", "conv", one)))
    assert list(found) == ["bn.weight", "bn.bias", "bn.2", "bn.3", "scale.weight"]


def test_a_blob_without_axes_is_one_number(write: Callable[..., Path]) -> None:
    assert read_caffemodel(write(layer("scale", "conv", shaped((), (3,)))))["scale.weight"].shape == ()


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "unpacked"])
def test_doubles_become_floats(write: Callable[..., Path], packed: bool) -> None:
    doubles = chunk(7, chunk(1, varint(2))) + reals(8, (0.1, 1e-3), packed, code="d")
    found = read_caffemodel(write(layer("conv1", "conv", doubles)))["conv1.weight"]
    np.testing.assert_array_equal(found, np.array([0.1, 1e-3], dtype=np.float32))


def test_old_and_new_layers_may_be_mixed_and_unknown_fields_are_ignored(write: Callable[..., Path]) -> None:
    one = shaped((1,), (1,))
    gradient = one + reals(6, (9,))  # BlobProto.diff
    found = read_caffemodel(write(integer(5, 1), layer("new", "conv", gradient), layer_v1("old", "conv", one)))
    assert {name: array.tolist() for name, array in found.items()} == {"old.weight": [1], "new.weight": [1]}


def test_two_layers_may_share_a_name_if_one_has_no_weights(write: Callable[..., Path]) -> None:
    assert list(read_caffemodel(write(layer("data", "relu"), layer("data", "conv", shaped((1,), (1,)))))) == [
        "data.weight"
    ]


def test_a_name_that_is_not_utf_8_is_still_read(write: Callable[..., Path]) -> None:
    unnamed = chunk(7, shaped((1,), (1,)))
    assert list(read_caffemodel(write(chunk(100, chunk(1, b"caf\xe9") + unnamed)))) == ["caf\\xe9.weight"]


blobs = st.lists(st.integers(1, 4), min_size=1, max_size=4).flatmap(
    lambda shape: st.lists(
        st.floats(width=32, allow_nan=False), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))
    ).map(lambda values: np.array(values, dtype=np.float32).reshape(shape))
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    layers=st.dictionaries(st.text(min_size=1, max_size=8), st.lists(blobs, min_size=1, max_size=3), min_size=1),
    packed=st.booleans(),
)
def test_any_written_network_can_be_read(write: Callable[..., Path], layers: dict, packed: bool) -> None:
    path = write(
        *(
            layer(name, "conv", *(shaped(array.shape, array.ravel(), packed) for array in arrays))
            for name, arrays in layers.items()
        )
    )
    found = iter(read_caffemodel(path).items())
    for name, arrays in layers.items():
        for part, array in zip(("weight", "bias", "2"), arrays, strict=False):
            key, read = next(found)
            assert key == f"{name}.{part}"
            np.testing.assert_array_equal(read, array, strict=True)
    assert next(found, None) is None


# --------------------------------------------------------------------------------------- what cannot be trusted

ONE = shaped((1,), (1,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"name: 'VGG_CNN_M_1024'\nlayers { }\n", "is not a .caffemodel"),
        (b"<!doctype html><title>404</title>", "is not a .caffemodel"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "saved the network as HDF5"),
        (network(), "has no layer with weights"),
        (network(layer("relu1", "relu")), "has no layer with weights"),
        (network(layer("a", "conv", ONE), layer("a", "conv", ONE)), "two layers with weights are named 'a'"),
        (network(layer("a", "conv", ONE), layer_v1("a", "conv", ONE)), "two layers with weights are named 'a'"),
        (network(layer("", "conv", ONE)), "a layer with weights has no name"),
        (network(layer("a", "conv", ONE, shaped((2,), (1,)))), r"a\.bias: 1 values do not fill the shape \[2\]"),
        (network(layer("a", "conv", shaped((2, 2), ()))), r"a\.weight: 0 values do not fill the shape \[2, 2\]"),
        (network(layer("a", "conv", shaped((0,), ()))), r"do not fill the shape \[0\]"),
        (network(layer("a", "conv", shaped((-1, -1), (1,)))), r"do not fill the shape \[-1, -1\]"),
        (network(layer("a", "conv", reals(5, (1,)))), r"1 values do not fill the shape \[0, 0, 0, 0\]"),
        (network(layer_v1("a", "fc", four_axes((2, 2, 3), [1] * 6))), r"6 values do not fill the shape \[1, 2, 2, 3\]"),
    ],
)
def test_a_damaged_file_is_reported(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.caffemodel"
    path.write_bytes(content)
    with pytest.raises(MitobenchError, match=message) as error:
        read_caffemodel(path)
    assert str(error.value).startswith(str(path))


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.caffemodel", tmp_path):
        with pytest.raises(MitobenchError, match=r"cannot be read|is a directory"):
            read_caffemodel(path)


def test_a_truncated_file_is_reported_unless_it_was_cut_between_layers(tmp_path: Path) -> None:
    parts = [network(), layer("a", "conv", ONE, ONE), layer_v1("b", "fc", four_axes((2, 3), range(6)))]
    whole, path = b"".join(parts), tmp_path / "cut.caffemodel"
    read = {}
    for length in range(1, len(whole) + 1):
        path.write_bytes(whole[:length])
        try:
            read[length] = sorted(read_caffemodel(path))
        except MitobenchError:
            continue
    assert read == {len(parts[0] + parts[1]): ["a.bias", "a.weight"], len(whole): ["a.bias", "a.weight", "b.weight"]}
