"""Where in a forward pass the first number appears that is not finite."""

from collections.abc import Callable

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn


def is_finite(value: object) -> bool:
    """Whether all tensors inside tuples, lists, dicts and data elements are finite."""
    if isinstance(value, Tensor):
        return bool(torch.isfinite(value).all())
    if isinstance(value, dict | BaseDataElement):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return True
    return all(map(is_finite, value))


def weights_not_finite(model: nn.Module) -> list[str]:
    """Names of parameters and, in parts that are in eval mode and so use them, of buffers."""
    found = [name for name, weight in model.named_parameters() if not is_finite(weight)]
    for prefix, module in model.named_modules():
        if not module.training:
            buffers = module.named_buffers(prefix, recurse=False)
            found += [name for name, buffer in buffers if buffer.isnan().any()]
    return found


def first_not_finite(model: nn.Module, forward: Callable[[], object]) -> str | None:
    """The first module of `model` to make a value that is not finite while `forward()` runs.

    Returns:
        'the output of NAME (TYPE)', where its inputs were finite; or 'the input of …, computed by
        NAME (TYPE)', where the code of a module made it between its parts; or None.
    """
    found = []
    modules = dict(model.named_modules())

    def before(name: str) -> Callable:
        def look(module, args, kwargs) -> None:
            if not found and not is_finite((args, kwargs)):
                owner = _owner(name, modules)
                found.append(f'the input of {_called(name, module)}, computed by {owner}')

        return look

    def after(name: str) -> Callable:
        def look(module, args, kwargs, output) -> None:
            if not found and not is_finite(output):
                found.append(f'the output of {_called(name, module)}')

        return look

    handles = []
    for name, module in modules.items():
        handles.append(module.register_forward_pre_hook(before(name), with_kwargs=True))
        handles.append(module.register_forward_hook(after(name), with_kwargs=True))
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def _called(name: str, module: nn.Module) -> str:
    return f'{name or "the model"} ({type(module).__name__})'


def _owner(name: str, modules: dict[str, nn.Module]) -> str:
    """The module in whose code `name` stands: lists and dicts of modules have none."""
    name = name.rpartition('.')[0]
    while isinstance(modules[name], nn.ModuleList | nn.ModuleDict):
        name = name.rpartition('.')[0]
    return _called(name, modules[name])
