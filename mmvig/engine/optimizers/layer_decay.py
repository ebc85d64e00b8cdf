"""Layer-wise learning-rate decay for any backbone that has `get_layer_depth`."""

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmvig.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Learning rates that shrink with the distance from the head.

    A parameter in layer `i` of `n` learns at `lr * layer_decay_rate ** (n - 1 - i)`. The layers are
    defined by `get_layer_depth(name, prefix) -> (i, n)` of a part of the model, a method of
    mmpretrain's: all backbones of mmvig and many of mmpretrain have it. Parts without it, necks and
    heads, learn at `lr`. For detection, segmentation and classification::

        optim_wrapper = dict(
            constructor='mmvig.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=0.9, custom_keys={'norm': dict(decay_mult=0.0)}),
        )

    Args:
        optim_wrapper_cfg (dict): See `mmengine.optim.DefaultOptimWrapperConstructor`.
        paramwise_cfg (dict): `layer_decay_rate` in (0, 1], and the options of that class.

    Raises:
        ValueError: there is no such rate, or no part of the model has `get_layer_depth`.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        rate = self.paramwise_cfg.get('layer_decay_rate')
        if not isinstance(rate, int | float) or not 0 < rate <= 1:
            raise ValueError(f'expected paramwise_cfg.layer_decay_rate in (0, 1], got {rate!r}')
        if self.base_lr is None:
            raise ValueError('expected optimizer.lr, which the layers scale; got none')
        self.rate = rate

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '', **kwargs) -> None:
        """Collect the parameter groups of `module`; called once for each module in the model."""
        super().add_params(params, module, prefix=prefix, **kwargs)
        if prefix == '':
            self._scale(params, module)

    def _scale(self, params: list[dict], model: nn.Module) -> None:
        parts = {
            f'{name}.': part
            for name, part in model.named_modules()
            if name and hasattr(part, 'get_layer_depth')
        }
        if not parts:
            raise ValueError(
                'layer-wise decay needs a backbone with get_layer_depth(name, prefix), which no '
                f'part of {type(model).__name__} has; take the default constructor for it'
            )
        names = {id(param): name for name, param in model.named_parameters()}
        for group in params:
            (param,) = group['params']
            name = names[id(param)]
            owners = [prefix for prefix in parts if name.startswith(prefix)]
            if owners:
                owner = max(owners, key=len)
                layer, count = parts[owner].get_layer_depth(name, owner)
                scale = self.rate ** (count - 1 - layer)
                group['lr'] = group.get('lr', self.base_lr) * scale
                group['lr_scale'] = scale
