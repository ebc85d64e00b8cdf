"""The module of a forward pass in which the first non-finite number appears."""

from collections.abc import Callable

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn


def is_finite(value: object) -> bool:
    """Whether all tensors inside nested tuples, lists, dicts and data elements are finite."""
    if isinstance(value, Tensor):
        return bool(torch.isfinite(value).all())
    if isinstance(value, dict | BaseDataElement):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return True
    return all(map(is_finite, value))


def non_finite_weights(model: nn.Module) -> list[str]:
    """Names of non-finite parameters, and of NaN buffers in modules that are in eval mode.

    In training mode a module such as a batch norm does not use its buffers.
    """
    names = [name for name, weight in model.named_parameters() if not is_finite(weight)]
    for prefix, module in model.named_modules():
        if not module.training:
            buffers = module.named_buffers(prefix, recurse=False)
            names += [name for name, buffer in buffers if buffer.isnan().any()]
    return names


def first_non_finite(model: nn.Module, forward: Callable[[], object]) -> str | None:
    """The first module of `model` to compute a non-finite value while `forward()` runs.

    Returns:
        'the output of NAME (TYPE)' where its inputs were finite; 'the input of …, computed by
        NAME (TYPE)' where a module's own code computed it between its submodules; or None.
    """
    places = []
    modules = dict(model.named_modules())

    def before(name: str) -> Callable:
        def check_input(module, args, kwargs) -> None:
            if not places and not is_finite((args, kwargs)):
                owner = _owner(name, modules)
                places.append(f'the input of {_describe(name, module)}, computed by {owner}')

        return check_input

    def after(name: str) -> Callable:
        def check_output(module, args, kwargs, output) -> None:
            if not places and not is_finite(output):
                places.append(f'the output of {_describe(name, module)}')

        return check_output

    handles = []
    for name, module in modules.items():
        handles.append(module.register_forward_pre_hook(before(name), with_kwargs=True))
        handles.append(module.register_forward_hook(after(name), with_kwargs=True))
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    return places[0] if places else None


def _describe(name: str, module: nn.Module) -> str:
    return f'{name or "the model"} ({type(module).__name__})'


def _owner(name: str, modules: dict[str, nn.Module]) -> str:
    """The module whose forward calls `name`: lists and dicts of modules have none."""
    name = name.rpartition('.')[0]
    while isinstance(modules[name], nn.ModuleList | nn.ModuleDict):
        name = name.rpartition('.')[0]
    return _describe(name, modules[name])
