"""Weights out of a `.caffemodel`, without Caffe: the few protobuf messages that hold them, declared here.

Source: BVLC/caffe, `src/caffe/proto/caffe.proto`. Three generations of layers are about: `layer` (2014 on), `layers`,
and `layers` that hold an even older `layer` each. Whatever else is in the file is passed over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from numpy.typing import NDArray

from mitobench.api import MitobenchError
from mitobench.training import read_bytes

Array = NDArray[np.float32]

MAX_BYTES = 2 * 10**9  # protobuf itself takes no more

ONE, MANY = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED
# By message its fields: number, how many, and of what type. A parser takes packed and unpacked numbers alike.
# A name is any bytes here: not every writer of proto2 kept to UTF-8.
MESSAGES = {
    "BlobShape": {"dim": (1, MANY, "int64")},
    "BlobProto": {
        "num": (1, ONE, "int64"),
        "channels": (2, ONE, "int64"),
        "height": (3, ONE, "int64"),
        "width": (4, ONE, "int64"),
        "data": (5, MANY, "float"),
        "shape": (7, ONE, "BlobShape"),
        "double_data": (8, MANY, "double"),
    },
    "V0LayerParameter": {"name": (1, ONE, "bytes"), "type": (2, ONE, "string"), "blobs": (50, MANY, "BlobProto")},
    "V1LayerParameter": {
        "layer": (1, ONE, "V0LayerParameter"),
        "name": (4, ONE, "bytes"),
        "type": (5, ONE, "int32"),
        "blobs": (6, MANY, "BlobProto"),
    },
    "LayerParameter": {"name": (1, ONE, "bytes"), "type": (2, ONE, "string"), "blobs": (7, MANY, "BlobProto")},
    "NetParameter": {"layers": (2, MANY, "V1LayerParameter"), "layer": (100, MANY, "LayerParameter")},
}
INNER_PRODUCT = ("innerproduct", 14, "InnerProduct")  # as the three generations call that type of layer


def read_caffemodel(path: Path) -> dict[str, Array]:
    """The weights of a Caffe network.

    Returns `LAYER.weight` and `LAYER.bias` (a third blob of a layer is `LAYER.2`, and so on), float32, in the file's
    order and with Caffe's numbers: a convolution's weight [out, in / groups, height, width], an inner product's
    [out, in], a bias [out].

    Raises MitobenchError for a file that cannot be read, is no .caffemodel or not the whole of one, holds no weights,
    or holds some whose name or shape is in doubt. A file that was cut exactly between two layers looks whole.
    """
    tensors: dict[str, Array] = {}
    for layer in _layers(_parse(path)):
        name = layer.name.decode(errors="backslashreplace")
        if not name or f"{name}.weight" in tensors:
            problem = f"two layers with weights are named {name!r}" if name else "a layer with weights has no name"
            raise MitobenchError(f"{path}: {problem}. Give every layer its own name in Caffe, and save it again.")
        for number, blob in enumerate(layer.blobs):
            key = f"{name}.{('weight', 'bias')[number] if number < 2 else number}"
            tensors[key] = _tensor(blob, f"{path}: {key}", axes=_axes(layer.type, number))
    if not tensors:
        raise MitobenchError(f"{path}: holds no layer with weights. Give the trained .caffemodel, not its .prototxt.")
    return tensors


def _parse(path: Path) -> Any:
    content = read_bytes(path, MAX_BYTES, ".caffemodel file")
    if not content:
        raise MitobenchError(f"{path}: is empty. Download it again.")
    try:
        return _net_parameter().FromString(content)
    except DecodeError as reason:
        raise MitobenchError(
            f"{path}: is no .caffemodel (protobuf), or not the whole of one. Download it again; "
            "a network that Caffe saved as HDF5 (.h5) must be saved as .caffemodel first."
        ) from reason


@cache
def _net_parameter() -> Any:
    """The class of the message NetParameter. In a pool of its own, so that it meets no other caffe.proto."""
    file = FileDescriptorProto(name="mitobench_mmdet/caffe.proto", package="caffe", syntax="proto2")
    for message, fields in MESSAGES.items():
        declared = file.message_type.add(name=message)
        for name, (number, label, kind) in fields.items():
            field = declared.field.add(name=name, number=number, label=label)
            if kind in MESSAGES:
                field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


def _layers(net: Any) -> Iterator[Any]:
    """The layers that hold blobs, of all generations: each has a name, a type and blobs."""
    old = (outer.layer if outer.HasField("layer") else outer for outer in net.layers)
    return (layer for layers in (old, net.layer) for layer in layers if layer.blobs)


def _axes(layer_type: str | int, number: int) -> int:
    """How many axes a blob has that an old file stored with four."""
    if number == 1:
        return 1
    return 2 if number == 0 and layer_type in INNER_PRODUCT else 4


def _tensor(blob: Any, where: str, axes: int) -> Array:
    stored = blob.data or blob.double_data
    values = np.fromiter(stored, dtype=np.float32, count=len(stored))  # older protobufs make lists for np.asarray
    shape = _shape(blob, axes)
    if min(shape, default=1) < 1 or math.prod(shape) != len(values):
        raise MitobenchError(f"{where}: {len(values)} values do not fill the shape {list(shape)}. Download it again.")
    return values.reshape(shape)


def _shape(blob: Any, axes: int) -> tuple[int, ...]:
    """The blob's shape; an old one, always of four axes, without the leading ones that only fill up."""
    if blob.HasField("shape"):
        return tuple(blob.shape.dim)
    old = (blob.num, blob.channels, blob.height, blob.width)
    return old[-axes:] if set(old[:-axes]) <= {1} else old
