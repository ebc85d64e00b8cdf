"""Whether anyone watches a module: then it has to be called, and on all tokens at once.

A hook with the attribute `takes_parts = True` is content with a call for some of the tokens, or
none: it changes no number, not even by rounding.
"""

from torch import nn
from torch.nn.modules import module as torch_module


def has_hooks(module: nn.Module) -> bool:
    kinds = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    return any(
        not getattr(hook, 'takes_parts', False) for hooks in kinds for hook in hooks.values()
    )


def has_global_hooks() -> bool:
    return bool(
        torch_module._global_forward_hooks
        or torch_module._global_forward_pre_hooks
        or torch_module._global_backward_hooks
        or torch_module._global_backward_pre_hooks
    )
