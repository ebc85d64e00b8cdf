"""Functions of single tokens, run on chunks of tokens on CPUs.

The hidden layer of an MLP over an 800×1344 image takes more than a hundred MiB, and so does the
result of every pointwise step after it: memory that the system hands out page by page. In chunks
the intermediate results stay in cache. Of these only what products are is kept for the backward
pass; the rest is computed again. The numbers equal those of one call up to rounding. Under autocast
a chunk also holds what goes from one precision to the other.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .execution import runs_eagerly_on_cpu
from .hooks import has_global_hooks, has_hooks
from .linear import repeated_products, weight_of_result

CHUNK_TOKENS = 2048  # in float32; of the narrower numbers under autocast there are twice as many
# Modules of torch whose output at a token depends on that token only. A class outside of torch
# says so by an attribute `is_tokenwise = True`.
_TOKENWISE_MODULES = {
    nn.GELU,
    nn.Identity,
    nn.LayerNorm,
    nn.Linear,
    nn.RMSNorm,
    nn.SiLU,
}


def tokenwise(
    function: Callable[..., Tensor], *tokens: Tensor, modules: Sequence[nn.Module]
) -> Tensor:
    """function(*tokens), computed chunk by chunk where that is faster.

    One call does it on GPUs, under compilers and tracers, and where one of the modules has hooks or
    may mix tokens.

    Args:
        function: computes a tensor [..., D] of tensors [..., C], each token by itself.
        tokens: tensors [..., C] that agree in all but the last axis.
        modules: all modules that `function` calls.
    """
    parts = [part for module in modules for part in module.modules()]
    if not _runs_in_chunks(tokens[0], parts):
        return function(*tokens)
    parameters = dict.fromkeys(p for part in parts for p in part.parameters(recurse=False))
    is_recorded = torch.is_grad_enabled()  # which a function of autograd is not told
    out = _Tokenwise.apply(function, is_recorded, len(tokens), *tokens, *parameters)
    if torch.is_autocast_enabled('cpu') and torch.is_grad_enabled():
        # For later layers torch 2.4 keeps the weights that were cast in there, without gradients.
        torch.clear_autocast_cache()
    return out


def _runs_in_chunks(x: Tensor, parts: Sequence[nn.Module]) -> bool:
    return (
        runs_eagerly_on_cpu(x)  # first: what follows would tie a compiled graph to the size
        and x.shape[:-1].numel() > _most_tokens(torch.is_autocast_enabled('cpu'))
        and not has_global_hooks()
        and all(_is_tokenwise(part) and not has_hooks(part) for part in parts)
    )


def _is_tokenwise(module: nn.Module) -> bool:
    kind = type(module)
    return kind in _TOKENWISE_MODULES or 'is_tokenwise' in vars(kind)


def _most_tokens(autocast: bool) -> int:
    return 2 * CHUNK_TOKENS if autocast else CHUNK_TOKENS


def _chunks(tokens: int, most: int) -> list[slice]:
    """The fewest chunks of at most so many tokens, of equal size."""
    size = math.ceil(tokens / math.ceil(tokens / most))
    return [slice(i, min(i + size, tokens)) for i in range(0, tokens, size)]


class _Tokenwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, function, is_recorded: bool, num_tokens: int, *tensors: Tensor) -> Tensor:
        autocast = torch.is_autocast_enabled('cpu'), torch.get_autocast_dtype('cpu')
        ctx.run = torch.enable_grad()(torch.autocast('cpu', autocast[1], autocast[0])(function))
        ctx.num_tokens, ctx.most = num_tokens, _most_tokens(autocast[0])
        ctx.save_for_backward(*tensors)
        tokens = [x.flatten(0, -2) for x in tensors[:num_tokens]]
        ctx.result = ctx.products = None
        if is_recorded and any(ctx.needs_input_grad):
            with repeated_products():
                ctx.result = weight_of_result(lambda: ctx.run(*(x[:1].detach() for x in tokens)))
            ctx.products = deque()
        out = None
        with repeated_products(ctx.result, kept=ctx.products):
            for chunk in _chunks(len(tokens[0]), ctx.most):
                part = function(*(x[chunk] for x in tokens))
                if out is None:
                    out = part.new_empty(*tensors[0].shape[:-1], part.shape[-1])
                out.flatten(0, -2)[chunk] = part
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, d_out: Tensor):
        tensors, count = ctx.saved_tensors, ctx.num_tokens
        needs_grad = ctx.needs_input_grad[3:]
        tokens, parameters = [x.flatten(0, -2) for x in tensors[:count]], tensors[count:]
        d_rows = d_out.flatten(0, -2)
        d_tokens = [torch.empty_like(x) for x in tokens]
        d_parameters = [torch.zeros_like(p) for p in parameters]
        # They are freed as they are read; a second backward pass computes them again.
        products, ctx.products = ctx.products, None
        with repeated_products(ctx.result, known=products, is_result_read=False):
            for chunk in _chunks(len(d_rows), ctx.most):
                entries = [
                    x[chunk].detach().requires_grad_(needs)
                    for x, needs in zip(tokens, needs_grad, strict=False)
                ]
                inputs = zip([*entries, *parameters], needs_grad, strict=True)
                leaves = [x for x, needs in inputs if needs]
                part = ctx.run(*entries)
                grads = iter(
                    torch.autograd.grad(part, leaves, d_rows[chunk], materialize_grads=True)
                )
                for d_x, needs in zip(d_tokens, needs_grad, strict=False):
                    if needs:
                        d_x[chunk] = next(grads)
                for d_parameter, needs in zip(d_parameters, needs_grad[count:], strict=True):
                    if needs:
                        d_parameter += next(grads)
        d_tokens = [d_x.view(x.shape) for d_x, x in zip(d_tokens, tensors, strict=False)]
        d_inputs = zip([*d_tokens, *d_parameters], needs_grad, strict=True)
        return None, None, None, *(d if needs else None for d, needs in d_inputs)
