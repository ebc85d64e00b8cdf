"""Writes nodes of ONNX as calls: `nodes.Add(x, y)` returns the name of the result."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper


class Nodes:
    """Nodes of one graph, with names that start with a prefix of their own.

    Args:
        prefix: of all names, different from those of any other names in the model.
        constants: shared by all that write into the model: equal constants are stored once.

    Attributes:
        nodes: those written so far, in order.
    """

    def __init__(self, prefix: str, constants: dict[tuple, onnx.TensorProto]) -> None:
        self.prefix = prefix
        self.constants = constants
        self.nodes: list[onnx.NodeProto] = []
        self._count = 0

    def name(self) -> str:
        """A new name."""
        self._count += 1
        return f'{self.prefix}_{self._count}'

    def __getattr__(self, operator: str) -> Callable[..., str | list[str]]:
        if not operator[0].isupper():
            raise AttributeError(operator)

        def write(*inputs: str, outputs: int = 1, **attributes) -> str | list[str]:
            names = [self.name() for _ in range(outputs)]
            self.nodes.append(
                helper.make_node(operator, inputs, names, name=names[0], **attributes)
            )
            return names[0] if outputs == 1 else names

        return write

    def either(
        self, condition: str, yes: Callable[['Nodes'], str], no: Callable[['Nodes'], str]
    ) -> str:
        """What `yes` writes where the condition holds, and else what `no` writes.

        Each gets nodes that run in its case only, and returns the name of a tensor of floats.
        """
        branches = []
        for write in (yes, no):
            inside = Nodes(self.name(), self.constants)
            output = helper.make_tensor_value_info(write(inside), onnx.TensorProto.FLOAT, None)
            branches.append(helper.make_graph(inside.nodes, inside.prefix, [], [output]))
        return self.If(condition, then_branch=branches[0], else_branch=branches[1])

    def constant(self, value: np.ndarray) -> str:
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self.constants:
            name = f'bi_gla_constant_{len(self.constants)}'
            self.constants[key] = numpy_helper.from_array(value, name)
        return self.constants[key].name

    def ints(self, *values: int) -> str:
        """A vector of int64: axes, or a shape."""
        return self.constant(np.array(values, np.int64))

    def shape(self, *sizes: int | str) -> str:
        """A shape of numbers and names of scalars."""
        parts = [
            self.ints(size) if isinstance(size, int) else self.Reshape(size, self.ints(1))
            for size in sizes
        ]
        return self.Concat(*parts, axis=0) if len(parts) > 1 else parts[0]

    def floats(self, values) -> str:
        return self.constant(np.asarray(values, np.float32))
