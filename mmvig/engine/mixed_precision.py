"""Models of the MM libraries in bfloat16 by torch's autocast, on CPUs as on GPUs.

Autocast knows torch's operators, and everything else would go on in bfloat16. But mmcv's operators,
such as RoIAlign and NMS, do not exist for it; mmdet makes anchors and boxes in the dtype of maps
and scores, and would have them off by pixels; and NumPy does not know it. So float32 is what
extractors of regions and modules of mmcv's operators are given, and what heads and whole models
return.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps

import torch
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.structures import BaseDataElement
from torch import Tensor, nn


@contextmanager
def bfloat16(model: nn.Module) -> Iterator[None]:
    """What the model computes in this context is in bfloat16 where autocast deems it safe."""
    device = next(model.parameters()).device.type
    handles = []
    for module in model.modules():
        if _needs_float32(module):
            handles.append(module.register_forward_pre_hook(_widen_inputs, with_kwargs=True))
        if type(module).__name__.endswith('Head'):
            handles.append(module.register_forward_hook(_widen_output))
    try:
        with torch.autocast(device, torch.bfloat16):
            yield
    finally:
        for handle in handles:
            handle.remove()


def predict_in_bfloat16(model: nn.Module) -> None:
    """Let a model, or the one in a wrapper, compute in bfloat16 from now on, and return float32."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    model.forward = _in_bfloat16(model, model.forward)


def _in_bfloat16(model: nn.Module, forward: Callable) -> Callable:
    @wraps(forward)
    def call(*args, **kwargs):
        with bfloat16(model):
            results = forward(*args, **kwargs)
        return _widen(results)

    return call


def _needs_float32(module: nn.Module) -> bool:
    kinds = type(module).__mro__
    return any(
        kind.__module__.startswith('mmcv.ops') or kind.__name__ == 'BaseRoIExtractor'
        for kind in kinds
    )


def _widen_inputs(module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    return _widen(args), _widen(kwargs)


def _widen_output(module: nn.Module, args: tuple, output):
    return _widen(output)


def _widen(x):
    """The same with every tensor of bfloat16, however deep inside, in float32."""
    if isinstance(x, Tensor):
        return x.float() if x.dtype == torch.bfloat16 else x
    if isinstance(x, dict):
        return {key: _widen(value) for key, value in x.items()}
    if type(x) in (list, tuple):
        return type(x)(map(_widen, x))
    if isinstance(x, BaseDataElement):
        for key, value in x.items():
            setattr(x, key, _widen(value))
    return x
