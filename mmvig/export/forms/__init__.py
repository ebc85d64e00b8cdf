"""The forms that `bi_gla` takes in an ONNX file, each of operators that some runtimes have."""

from collections.abc import Callable
from typing import NamedTuple

import onnx
from onnx import helper, version_converter

from ..trace import DOMAIN, NAME, OPSET
from .attention import Attention
from .linear_attention import contrib, standard
from .nodes import Nodes
from .portable import portable


class Form(NamedTuple):
    """How `bi_gla` is written, and what the file asks of a runtime.

    Attributes:
        write: writes one call.
        opset: of ai.onnx.
        domains: other sets of operators with their versions.
    """

    write: Callable[[Nodes, Attention], str]
    opset: int
    domains: dict[str, int] = {}


FORMS = {
    'standard': Form(standard, opset=27),
    'contrib': Form(contrib, opset=OPSET, domains={'com.microsoft': 1}),
    'portable': Form(portable, opset=OPSET),
}


def expand(traced: onnx.ModelProto, form: str) -> onnx.ModelProto:
    """A traced model with every `bi_gla` written in one of `FORMS`."""
    chosen = FORMS[form]
    model = onnx.ModelProto()
    model.CopyFrom(traced)
    if chosen.opset != OPSET:  # before operators come in that the converter does not know
        model = version_converter.convert_version(model, chosen.opset)
    constants, written = {}, []
    for node in model.graph.node:
        if (node.domain, node.op_type) != (DOMAIN, NAME):
            written.append(node)
            continue
        nodes = Nodes(node.output[0], constants)
        output = chosen.write(nodes, Attention.of(node))
        written += nodes.nodes
        written.append(helper.make_node('Identity', [output], node.output))
    del model.graph.node[:]
    model.graph.node.extend(written)
    model.graph.initializer.extend(constants.values())
    del model.opset_import[:]
    domains = {'': chosen.opset, **(chosen.domains if calls(traced) else {})}
    model.opset_import.extend(helper.make_opsetid(*item) for item in domains.items())
    return model


def calls(traced: onnx.ModelProto) -> int:
    """How often a traced model calls `bi_gla`."""
    return sum((node.domain, node.op_type) == (DOMAIN, NAME) for node in traced.graph.node)
