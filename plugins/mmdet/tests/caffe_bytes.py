"""Writes the bytes of a .caffemodel without a protobuf library."""

from __future__ import annotations

import struct
from collections.abc import Sequence

# ------------------------------------------------------------------- protobuf's wire format, written out by hand


def varint(number: int) -> bytes:
    """Seven bits per byte, the lowest first; a negative number as its 64-bit complement."""
    number &= 2**64 - 1
    head, rest = number & 0x7F, number >> 7
    return bytes([head | 0x80]) + varint(rest) if rest else bytes([head])


def integer(number: int, value: int) -> bytes:
    return varint(number << 3 | 0) + varint(value)


def chunk(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def text(number: int, value: str) -> bytes:
    return chunk(number, value.encode())


def reals(number: int, values: Sequence[float], packed: bool = True, code: str = "f") -> bytes:
    if packed:
        return chunk(number, struct.pack(f"<{len(values)}{code}", *values))
    wire = {"f": 5, "d": 1}[code]
    return b"".join(varint(number << 3 | wire) + struct.pack(f"<{code}", value) for value in values)


# ------------------------------------------------------------------------------- messages of caffe.proto


def shaped(shape: Sequence[int], values: Sequence[float], packed: bool = True) -> bytes:
    dims = b"".join(map(varint, shape)) if packed else b"".join(integer(1, dim) for dim in shape)
    return chunk(7, chunk(1, dims) if packed else dims) + reals(5, values, packed)


def four_axes(shape: Sequence[int], values: Sequence[float], packed: bool = True) -> bytes:
    """As Caffe stored blobs before they had shapes: num, channels, height, width."""
    shape = (*[1] * (4 - len(shape)), *shape)
    return b"".join(integer(number, dim) for number, dim in enumerate(shape, 1)) + reals(5, values, packed)


def layer(name: str, kind: str, *blobs: bytes) -> bytes:
    kinds = {"conv": "Convolution", "fc": "InnerProduct", "relu": "ReLU"}
    fields = [text(1, name), text(2, kinds[kind]), text(3, "below"), *(chunk(7, blob) for blob in blobs)]
    return chunk(100, b"".join(fields))


def layer_v1(name: str, kind: str, *blobs: bytes) -> bytes:
    kinds = {"conv": 4, "fc": 14, "relu": 18}
    fields = [text(2, "below"), text(3, "above"), text(4, name), integer(5, kinds[kind])]
    return chunk(2, b"".join([*fields, *(chunk(6, blob) for blob in blobs)]))


def layer_v0(name: str, kind: str, *blobs: bytes) -> bytes:
    kinds = {"conv": "conv", "fc": "innerproduct", "relu": "relu"}
    inner = b"".join([text(1, name), text(2, kinds[kind]), *(chunk(50, blob) for blob in blobs)])
    return chunk(2, chunk(1, inner) + text(2, "below"))


def network(*layers: bytes) -> bytes:
    return text(1, "VGG_CNN_M_1024") + b"".join(layers)
