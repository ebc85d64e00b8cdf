"""From a module of torch to a graph of ONNX in which `bi_gla` is still one node.

The node is of our own domain. `forms` puts operators in its place that runtimes have, so that a
model is traced once, whatever becomes of its attention.
"""

import contextlib
import logging
import operator
import warnings
from collections.abc import Callable, Iterator

import onnx
import torch
from onnx.defs import OpSchema
from onnxscript import ir
from onnxscript import opset18 as op
from onnxscript.values import Op, Opset

from mmvig.checks.errors import UserError, one_line

from .exportable import Exportable
from .simplify import simplify

OPSET = 18  # what the exporter of torch writes without converting, and every runtime reads
DOMAIN, NAME = 'mmvig', 'BiGLA'
AXES = {0: 'batch', 2: 'height', 3: 'width'}  # of an image

_PARAMETER = OpSchema.FormalParameter
_SCHEMA = OpSchema(
    NAME,
    DOMAIN,
    1,
    inputs=[_PARAMETER(name, 'T') for name in ('q', 'k', 'v')]
    + [
        _PARAMETER(name, 'T', param_option=OpSchema.FormalParameterOption.Optional)
        for name in ('g_fwd', 'g_bwd')
    ],
    outputs=[_PARAMETER('o', 'T')],
    type_constraints=[('T', ['tensor(float)'], '')],
    attributes=[
        OpSchema.Attribute(name, OpSchema.AttrType.INT, '')
        for name in ('heads', 'key_width', 'value_width')
    ]
    + [OpSchema.Attribute(name, OpSchema.AttrType.FLOAT, '') for name in ('scale', 'normalizer')],
)
_NODE = Op(Opset(DOMAIN, 1), NAME, _SCHEMA)


def trace(model: Exportable) -> onnx.ModelProto:
    """The graph of a model, of dynamic sizes, with nodes `BiGLA` in our own domain.

    A node has inputs q, k, v, g_fwd and g_bwd in float32, of which one gate may be absent, and the
    attributes of `Attention` in `forms`.

    Raises:
        UserError: torch cannot trace it.
    """
    try:
        proto = _export(model)
    except Exception as error:  # in every way in which a model can be written
        raise UserError(
            f'torch cannot trace this model for images of any size: {one_line(error)[:300]}'
        ) from error
    simplify(proto.graph)
    _strip(proto)
    _name_sizes(proto.graph)
    return proto


def _export(model: Exportable) -> onnx.ModelProto:
    with torch.no_grad(), _quiet():
        program = torch.export.export(
            model.module, model.examples, dynamic_shapes=model.dynamic_shapes, strict=False
        )
        traced = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(model.inputs),
            output_names=list(model.outputs),
            custom_translation_table=_translations(),
            verbose=False,
        )
    return traced.model_proto


def _translations() -> dict[Callable, Callable]:
    backends = ('native', 'chunked', 'triton')
    operators = [getattr(torch.ops.mmvig, f'bi_gla_{backend}').default for backend in backends]
    return {
        **dict.fromkeys(operators, _bi_gla),
        operator.floordiv: _floordiv,
        torch.ops.aten.lerp.Tensor: _lerp,
    }


def _floordiv(a, b):
    """Python's a // b of sizes: the exporter's own rounds towards zero, ⌈n/16⌉ is -(-n // 16)."""
    return op.Div(op.Sub(a, op.Mod(a, b)), b)


def _lerp(start, end, weight):
    """The exporter's own takes either end as the base, by a Where over eight results."""
    return op.Add(start, op.Mul(weight, op.Sub(end, start)))


def _bi_gla(q, k, v, g_fwd=None, g_bwd=None, scale=1.0, gate_normalizer=None):
    """The operator in float32 whatever its dtypes: its sums are never taken in less."""
    dtype = v.dtype
    tensors = [x if x is None else _cast(x, ir.DataType.FLOAT) for x in (q, k, v, g_fwd, g_bwd)]
    o = _NODE(
        *tensors,
        heads=q.shape[2],
        key_width=q.shape[3],
        value_width=v.shape[3],
        scale=float(scale),
        normalizer=float(gate_normalizer or 0),
    )
    return _cast(o, dtype)


def _cast(x, dtype: ir.DataType):
    return x if x.dtype == dtype else op.Cast(x, to=dtype)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter tells of its own inside."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


def _strip(proto: onnx.ModelProto) -> None:
    """Remove stack traces with the paths of this machine, and shapes that runtimes infer."""
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.graph.value_info[:]
    graph = proto.graph
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]


def _name_sizes(graph: onnx.GraphProto) -> None:
    """Readable names for dynamic sizes in place of the tracer's symbols and formulas."""
    for value in graph.input:
        for axis, name in AXES.items():
            for size in value.type.tensor_type.shape.dim[axis : axis + 1]:
                if size.dim_param:
                    size.dim_param = name
    for value in graph.output:
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.dim_param:
                size.dim_param = f'{value.name}_{axis}'
