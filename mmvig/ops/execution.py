"""How the code around an operation is executed, which decides between fast and plain forms."""

import torch
from torch import Tensor, nn


def is_traced() -> bool:
    """Whether a compiler or tracer records the operations, and wants to see those of torch."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def runs_eagerly_on_cpu(x: Tensor) -> bool:
    """Whether operations on x run at once, on a CPU."""
    return not is_traced() and x.device.type == 'cpu'


def are_plain(*tensors: Tensor) -> bool:
    """Whether none is of a subclass, which decides for itself what an operation on it does."""
    return all(type(x) in (Tensor, nn.Parameter) for x in tensors)


def is_exported() -> bool:
    """Whether operations are recorded to run elsewhere: on other sizes, without gradients."""
    return _is_exporting() or torch.jit.is_tracing()


def compiles_for_cpu(x: Tensor) -> bool:
    """Whether `torch.compile`, not an export, records operations on x in the dtypes given."""
    return (
        torch.compiler.is_dynamo_compiling()
        and not is_exported()
        and x.device.type == 'cpu'
        and not torch.is_autocast_enabled('cpu')
    )


@torch.compiler.assume_constant_result  # asked where it is known: compiled code is told True
def _is_exporting() -> bool:
    """As torch knows it from 2.7 on; before, what the compiler exports counts as compiled."""
    return hasattr(torch.compiler, 'is_exporting') and torch.compiler.is_exporting()
