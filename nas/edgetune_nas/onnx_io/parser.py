"""What an ONNX file of ours may consist of, read without onnx and without onnxruntime, bounds before anything else."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from edgetune_nas.onnx_io.protobuf import Field, WireError, read_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

OPSET: Final = 17
IR_VERSION: Final = 8
PRODUCER: Final = "edgetune"
BATCH: Final = "windows"

MAX_ELEMENTS: Final = 2**24
MAX_INTEGER: Final = 2**16
"""Largest kernel, stride, padding or number of groups; a window has at most so many samples."""

FLOAT, UINT8, INT8, INT32, DOUBLE = 1, 2, 3, 6, 11
ELEMENT_BYTES: Final = {FLOAT: 4, UINT8: 1, INT8: 1, INT32: 4, DOUBLE: 8}
_RANGES: Final = {UINT8: range(2**8), INT8: range(-(2**7), 2**7), INT32: range(-(2**31), 2**31)}
_INTEGER, _INTEGERS = 2, 7
_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,120}")

Attribute: TypeAlias = int | tuple[int, ...]

_MODEL: Final = {
    1: Field("ir_version", "integer"),
    2: Field("producer_name", "text"),
    3: Field("producer_version", "text"),
    7: Field("graph", "bytes"),
    8: Field("opset_import", "bytes", repeated=True),
}
_OPERATOR_SET: Final = {1: Field("domain", "text"), 2: Field("version", "integer")}
_GRAPH: Final = {
    1: Field("node", "bytes", repeated=True),
    2: Field("name", "text"),
    5: Field("initializer", "bytes", repeated=True),
    11: Field("input", "bytes", repeated=True),
    12: Field("output", "bytes", repeated=True),
    13: Field("value_info", "bytes", repeated=True),
}
_NODE: Final = {
    1: Field("input", "text", repeated=True),
    2: Field("output", "text", repeated=True),
    3: Field("name", "text"),
    4: Field("op_type", "text"),
    5: Field("attribute", "bytes", repeated=True),
}
_ATTRIBUTE: Final = {
    1: Field("name", "text"),
    3: Field("i", "integer"),
    8: Field("ints", "integer", repeated=True),
    20: Field("type", "integer"),
}
_TENSOR: Final = {
    1: Field("dims", "integer", repeated=True),
    2: Field("data_type", "integer"),
    4: Field("float_data", "bytes"),
    5: Field("int32_data", "integers"),
    8: Field("name", "text"),
    9: Field("raw_data", "bytes"),
}
_VALUE: Final = {1: Field("name", "text"), 2: Field("type", "bytes")}
_TYPE: Final = {1: Field("tensor_type", "bytes")}
_TENSOR_TYPE: Final = {1: Field("elem_type", "integer"), 2: Field("shape", "bytes")}
_SHAPE: Final = {1: Field("dim", "bytes", repeated=True)}
_DIMENSION: Final = {1: Field("dim_value", "integer"), 2: Field("dim_param", "text")}


@dataclass(frozen=True, slots=True)
class GraphNode:
    """An operation, called by the name of its only output."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: dict[str, Attribute]


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """Shape and element type (ONNX's number) of a stored constant, or of a value with the windows' axis left out."""

    shape: tuple[int, ...]
    kind: int


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph in the order of computation.

    ``described`` are shapes that the file itself claims, ``spans`` the smallest and largest value of `INT32` constants.
    """

    nodes: tuple[GraphNode, ...]
    constants: dict[str, GraphTensor]
    inputs: dict[str, GraphTensor]
    outputs: dict[str, GraphTensor]
    described: dict[str, GraphTensor]
    spans: dict[str, tuple[int, int]]


def read_graph(data: bytes) -> Graph:
    """Graph of an ONNX file, after checking that it has only what `edgetune_nas.onnx_io.writer` and int8 write.

    Raises
    ------
    WireError
        When it is no protobuf, or has anything that edgetune does not write: another opset, data in another file,
        subgraphs, functions, metadata. Also when bytes of a constant do not fit its shape or are not finite.
    """
    model = read_fields(memoryview(data), "model", _MODEL)
    for name, wanted in (("ir_version", IR_VERSION), ("producer_name", PRODUCER)):
        found = _only(model, "model", name)
        if found != wanted:
            raise WireError(f"model.{name} is {found!r}, edgetune writes {wanted!r}")
    sets = [read_fields(each, "opset_import", _OPERATOR_SET) for each in model["opset_import"]]
    found_sets = [(*each["domain"], *each["version"]) for each in sets]
    if found_sets not in ([("", OPSET)], [(OPSET,)]):
        raise WireError(f"the operator sets are {found_sets}, edgetune writes the standard set {OPSET} alone")
    graph = read_fields(_only(model, "model", "graph"), "graph", _GRAPH)
    constants = [_tensor(each) for each in graph["initializer"]]
    return Graph(
        nodes=tuple(_node(each) for each in graph["node"]),
        constants=_named([(name, tensor) for name, tensor, _ in constants], "constant"),
        inputs=_named([_value(each, "input") for each in graph["input"]], "input"),
        outputs=_named([_value(each, "output") for each in graph["output"]], "output"),
        described=_named([_value(each, "value_info") for each in graph["value_info"]], "value"),
        spans={name: span for name, _, span in constants if span is not None},
    )


def _only(message: Mapping[str, list[Any]], what: str, name: str) -> Any:
    values = message[name]
    if not values:
        raise WireError(f"{what} has no {name}")
    return values[0]


def _name(message: Mapping[str, list[Any]], what: str) -> str:
    name: str = _only(message, what, "name")
    return _plain(name, what)


def _plain(name: str, what: str) -> str:
    if not _NAME.fullmatch(name):
        raise WireError(f"{what} is called {name[:120]!r}; edgetune uses letters, digits and _")
    return name


def _named(tensors: list[tuple[str, GraphTensor]], what: str) -> dict[str, GraphTensor]:
    found = dict(tensors)
    if len(found) != len(tensors):
        raise WireError(f"two of the graph's {what}s have one name")
    return found


def _node(data: memoryview) -> GraphNode:
    message = read_fields(data, "node", _NODE)
    name = _name(message, "node")
    where = f"node {name}"
    if len(message["output"]) != 1:
        raise WireError(f"{where} has {len(message['output'])} outputs, not one")
    attributes = [_attribute(each, where) for each in message["attribute"]]
    if len(dict(attributes)) != len(attributes):
        raise WireError(f"{where} has an attribute twice")
    return GraphNode(
        name=_plain(message["output"][0], f"output of {where}"),
        op=_only(message, where, "op_type"),
        inputs=tuple(_plain(each, f"input of {where}") for each in message["input"]),
        attributes=dict(attributes),
    )


def _attribute(data: memoryview, where: str) -> tuple[str, Attribute]:
    message = read_fields(data, f"attribute of {where}", _ATTRIBUTE)
    name, kind = _name(message, f"attribute of {where}"), _only(message, where, "type")
    single, many = message["i"], message["ints"]
    if kind not in (_INTEGER, _INTEGERS) or bool(single) != (kind == _INTEGER) or (many and kind == _INTEGER):
        raise WireError(f"attribute {name} of {where} is neither an integer nor a list of them")
    if not all(0 <= each <= MAX_INTEGER for each in (*single, *many)):
        raise WireError(f"attribute {name} of {where} is {(single or many)[:8]}, not within 0 to {MAX_INTEGER}")
    return name, single[0] if kind == _INTEGER else tuple(many)


def _tensor(data: memoryview) -> tuple[str, GraphTensor, tuple[int, int] | None]:
    message = read_fields(data, "constant", _TENSOR)
    name = _name(message, "constant")
    where = f"constant {name}"
    kind, shape = _only(message, where, "data_type"), tuple(message["dims"])
    if kind not in ELEMENT_BYTES or (kind == DOUBLE and shape):  # a length, and no weights
        raise WireError(f"{where} has element type {kind}, which edgetune does not write")
    elements = _elements(shape, where)
    forms = [each for each in ("raw_data", "float_data", "int32_data") if message[each]]
    fitting = {FLOAT: ("raw_data", "float_data"), DOUBLE: ("raw_data",)}.get(kind, ("raw_data", "int32_data"))
    if len(forms) != 1 or forms[0] not in fitting:
        raise WireError(f"{where} is stored as {', '.join(forms) or 'nothing'}, which its element type is not")
    content = message[forms[0]][0]
    if forms[0] == "int32_data" and not all(each in _RANGES[kind] for each in content):
        raise WireError(f"{where} has a value outside of its element type")
    wanted = elements if forms[0] == "int32_data" else elements * ELEMENT_BYTES[kind]
    if len(content) != wanted:
        raise WireError(f"{where} of shape {shape} holds {len(content)} where {wanted} belong")
    if kind in (FLOAT, DOUBLE) and not np.isfinite(np.frombuffer(content, f"<f{ELEMENT_BYTES[kind]}")).all():
        raise WireError(f"{where} has values that are not finite")
    span = None
    if kind == INT32:
        values = np.frombuffer(content, "<i4") if forms[0] == "raw_data" else np.array(content)
        span = int(values.min()), int(values.max())
    return name, GraphTensor(shape, kind), span


def _value(data: memoryview, what: str) -> tuple[str, GraphTensor]:
    message = read_fields(data, what, _VALUE)
    name = _name(message, what)
    where = f"{what} {name}"
    kind = read_fields(_only(message, where, "type"), where, _TYPE)
    tensor = read_fields(_only(kind, where, "tensor_type"), where, _TENSOR_TYPE)
    shape = read_fields(_only(tensor, where, "shape"), where, _SHAPE)
    sizes = [_dimension(each, where) for each in shape["dim"]]
    return name, GraphTensor(_without_batch(sizes, where), _only(tensor, where, "elem_type"))


def _dimension(data: memoryview, where: str) -> int | str:
    message = read_fields(data, f"shape of {where}", _DIMENSION)
    found: list[int | str] = [*message["dim_value"], *message["dim_param"]]
    if len(found) != 1:
        raise WireError(f"shape of {where} has an axis without one size")
    return found[0]


def _without_batch(sizes: list[int | str], where: str) -> tuple[int, ...]:
    own = tuple(each for each in sizes[1:] if isinstance(each, int))
    if sizes[:1] != [BATCH] or len(own) != len(sizes) - 1:
        raise WireError(f"{where} has shape {sizes}; edgetune writes ({BATCH!r}, numbers)")
    _elements(own, where)
    return own


def _elements(shape: tuple[int, ...], where: str) -> int:
    if len(shape) > 3 or not all(1 <= each <= MAX_ELEMENTS for each in shape) or math.prod(shape) > MAX_ELEMENTS:  # noqa: PLR2004 - filters, channels, kernel
        raise WireError(f"{where} has shape {shape[:8]}, which is not within {MAX_ELEMENTS} elements of three axes")
    return math.prod(shape)
