"""Training whose parameters, gradients and optimizer states are shared out over processes."""

import functools

from mmengine._strategy import FSDPStrategy as HostStrategy
from mmengine.optim import BaseOptimWrapper, OptimWrapper
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from mmvig.registry import STRATEGIES


@STRATEGIES.register_module()
class FSDPStrategy(HostStrategy):
    """mmengine's strategy, with the learning rates, weight decays and clipping of one process.

    mmengine sets up the optimizer when parameters are shared out already: each is then a flat piece
    on every process, so `flat_decay_mult` takes all of them for biases, and names have a part more.
    Here the rules of `paramwise_cfg` see the model as it is built. `clip_grad` by norm takes the
    norm over all processes, not that of each one's pieces. Arguments are those of the host's.
    """

    def prepare(self, model: nn.Module | dict, *, optim_wrapper=None, **kwargs):
        """As `mmengine._strategy.BaseStrategy.prepare`."""
        if isinstance(optim_wrapper, dict):
            model = self.build_model(model)
            optim_wrapper = self.build_optim_wrapper(optim_wrapper, model)
        return super().prepare(model, optim_wrapper=optim_wrapper, **kwargs)

    def build_optim_wrapper(self, optim_wrapper, model: nn.Module) -> BaseOptimWrapper:
        """As the host's; a wrapper built for the whole model goes over to its pieces."""
        if not isinstance(optim_wrapper, OptimWrapper):
            return super().build_optim_wrapper(optim_wrapper, model)
        pieces = {
            name.replace('_fsdp_wrapped_module.', ''): piece
            for name, piece in model.named_parameters()
        }
        for group in optim_wrapper.optimizer.param_groups:
            group['params'] = [pieces[self.id_to_name[id(param)]] for param in group['params']]
        if optim_wrapper.clip_grad_kwargs and optim_wrapper.clip_func is nn.utils.clip_grad_norm_:
            optim_wrapper.clip_func = functools.partial(_clip_grad_norm, model)
        return optim_wrapper

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """As the host's, whose order of arguments torch has changed."""
        optimizer = self.optim_wrapper.optimizer
        pieces = FullyShardedDataParallel.optim_state_dict_to_load(
            self.model, optimizer, state_dict
        )
        self.optim_wrapper.load_state_dict(pieces)


def _clip_grad_norm(model, params, max_norm: float, norm_type: float = 2.0):
    return model.clip_grad_norm_(max_norm, norm_type)
