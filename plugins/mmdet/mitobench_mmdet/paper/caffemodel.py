"""Reads weights from a `.caffemodel` without Caffe. The protobuf messages that contain them are declared here.

Source: BVLC/caffe, `src/caffe/proto/caffe.proto`. There are three generations of layers: `layer` (since 2014),
`layers`, and `layers` that contain an even older `layer` each. Everything else in the file is ignored.
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

MAX_BYTES = 2 * 10**9  # the limit of protobuf

ONE, MANY = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED
# The fields of each message: number, label and type. The parser accepts packed and unpacked numbers.
# Names are bytes, because not all files have names in UTF-8.
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
INNER_PRODUCT = ("innerproduct", 14, "InnerProduct")  # the type of that layer in the three generations


def read_caffemodel(path: Path) -> dict[str, Array]:
    """Reads the weights of a Caffe network.

    Returns `LAYER.weight` and `LAYER.bias` (the third blob of a layer is `LAYER.2`, and so on), float32, in the order
    of the file and with Caffe's values: the weight of a convolution [out, in / groups, height, width], that of an inner
    product [out, in], a bias [out].

    Raises MitobenchError for a file that cannot be read, is not a .caffemodel, is truncated, or has no weights or
    weights with an unclear name or shape. A file that was truncated exactly between two layers is not detected.
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
        raise MitobenchError(f"{path}: has no layer with weights. Give the trained .caffemodel, not its .prototxt.")
    return tensors


def _parse(path: Path) -> Any:
    content = read_bytes(path, MAX_BYTES, ".caffemodel file")
    if not content:
        raise MitobenchError(f"{path}: is empty. Download it again.")
    try:
        return _net_parameter().FromString(content)
    except DecodeError as reason:
        raise MitobenchError(
            f"{path}: is not a .caffemodel (protobuf), or is truncated. Download it again. "
            "If Caffe saved the network as HDF5 (.h5), save it as .caffemodel first."
        ) from reason


@cache
def _net_parameter() -> Any:
    """Returns the class of the message NetParameter. It is in its own pool, to avoid clashes with other caffe.proto."""
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
    """Returns the layers with blobs, of all generations. Each has a name, a type and blobs."""
    old = (outer.layer if outer.HasField("layer") else outer for outer in net.layers)
    return (layer for layers in (old, net.layer) for layer in layers if layer.blobs)


def _axes(layer_type: str | int, number: int) -> int:
    """Returns the number of axes of a blob, which old files store with four."""
    if number == 1:
        return 1
    return 2 if number == 0 and layer_type in INNER_PRODUCT else 4


def _tensor(blob: Any, where: str, axes: int) -> Array:
    stored = blob.data or blob.double_data
    values = np.fromiter(stored, dtype=np.float32, count=len(stored))  # np.asarray is slow with older protobufs
    shape = _shape(blob, axes)
    if min(shape, default=1) < 1 or math.prod(shape) != len(values):
        raise MitobenchError(f"{where}: {len(values)} values do not fill the shape {list(shape)}. Download it again.")
    return values.reshape(shape)


def _shape(blob: Any, axes: int) -> tuple[int, ...]:
    """Returns the shape of a blob. Old files always store four axes; leading ones that are not used are dropped."""
    if blob.HasField("shape"):
        return tuple(blob.shape.dim)
    old = (blob.num, blob.channels, blob.height, blob.width)
    return old[-axes:] if set(old[:-axes]) <= {1} else old
