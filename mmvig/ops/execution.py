"""How the code around an operation is executed, which decides between fast and plain forms."""

import torch
from torch import Tensor


def is_traced() -> bool:
    """Whether a compiler or tracer records the operations, and wants to see those of torch."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def runs_eagerly_on_cpu(x: Tensor) -> bool:
    """Whether operations on x run at once, on a CPU, in the dtypes they are given."""
    return not is_traced() and x.device.type == 'cpu' and not torch.is_autocast_enabled('cpu')
