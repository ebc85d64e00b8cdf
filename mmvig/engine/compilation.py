"""`compile` of a config: torch's compiler for the whole training step, or for a part of the model.

mmengine compiles the step from the batch to the optimizer. Losses choose among boxes and pixels, so
that torch cuts the step into tens of graphs, and makes more of them while it trains. A backbone is
one graph.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mmvig.checks.errors import UserError

RECOMMENDED = "compile=dict(target='backbone', dynamic=True)"


def is_compiled(options: object) -> bool:
    """Whether a config's `compile` asks for a compiler."""
    return bool(options) or isinstance(options, Mapping)  # an empty dict does


def names_part(options: object) -> bool:
    """Whether it asks for a part of the model, which `compile_part` is to compile."""
    return isinstance(options, Mapping) and 'target' in options


def compile_part(model: nn.Module, options: Any) -> str:
    """Let a part of a model be compiled at its first call.

    Args:
        model: without wrappers.
        options: `compile` of a config: arguments of `torch.compile`, and `target`, the part, for
            example 'backbone'. Without a target this only checks them, as the step is mmengine's.

    Returns:
        str: what to expect of the first steps.

    Raises:
        UserError: torch knows no such argument or backend, or there is no such part.
    """
    if not is_compiled(options):
        return ''
    if not isinstance(options, bool | Mapping):
        raise UserError(
            f'expected compile to be True, False or arguments of torch.compile, such as '
            f'{RECOMMENDED}, got {options!r}'
        )
    arguments = dict(options) if isinstance(options, Mapping) else {}
    target = arguments.pop('target', None)
    _check(arguments)
    if arguments.get('disable'):
        return ''
    if target is None:
        return (
            'compile: the whole step is compiled in tens of pieces, each when it first runs, so '
            'that the first steps take minutes; other sizes of images and other numbers of '
            f'objects make more. {RECOMMENDED} compiles the backbone alone, once for all sizes'
        )
    _part(model, target).compile(**arguments)
    return (
        f'compile: model.{target} is compiled in the first step, and once more where it is '
        'validated, which takes minutes each time on a CPU; the other parts are not'
    )


def _check(arguments: dict[str, Any]) -> None:
    known = [*inspect.signature(torch.compile).parameters][1:]  # the first is the model
    if unknown := [name for name in arguments if name not in known]:
        raise UserError(
            f"expected compile to hold 'target' and arguments of torch.compile, "
            f'{", ".join(known)}; got {unknown[0]!r}'
        )
    backend = arguments.get('backend', 'inductor')
    if isinstance(backend, str):
        backends = torch.compiler.list_backends(exclude_tags=())
        if backend not in backends:
            raise UserError(
                f'expected compile.backend to be one of {", ".join(backends)}; got {backend!r}'
            )


def _part(model: nn.Module, target: object) -> nn.Module:
    parts = [name for name, _ in model.named_children()]
    part = model
    for name in target.removesuffix('.forward').split('.') if isinstance(target, str) else ():
        part = getattr(part, name, None)
    if part is model or not isinstance(part, nn.Module):
        raise UserError(
            f'expected compile.target to be a part of the model, such as {", ".join(parts)}, got '
            f'{target!r}; without it the whole step is compiled'
        )
    if type(part).forward in (nn.Sequential.forward, nn.ModuleList.forward, nn.ModuleDict.forward):
        raise UserError(
            f'expected compile.target to be a module with a forward of its own, got {target!r}, a '
            f'{type(part).__name__}, which torch.compile passes over; name what holds it'
        )
    return part
