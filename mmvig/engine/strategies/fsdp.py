"""Training with parameters, gradients and optimizer states sharded over processes (FSDP)."""

import functools

from mmengine._strategy import FSDPStrategy as MMEngineFSDPStrategy
from mmengine.optim import BaseOptimWrapper, OptimWrapper
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from mmvig.registry import STRATEGIES


@STRATEGIES.register_module()
class FSDPStrategy(MMEngineFSDPStrategy):
    """mmengine's strategy, with the learning rates, weight decays and clipping of one process.

    mmengine builds the optimizer after sharding: each parameter is then a flat shard, which
    `flat_decay_mult` takes for a bias, and its name has an additional part. Here the rules of
    `paramwise_cfg` see the model as built. `clip_grad` by norm takes the norm over all processes
    instead of each process's own. Arguments are those of mmengine's strategy.
    """

    def prepare(self, model: nn.Module | dict, *, optim_wrapper=None, **kwargs):
        """As `mmengine._strategy.BaseStrategy.prepare`."""
        if isinstance(optim_wrapper, dict):
            model = self.build_model(model)
            optim_wrapper = self.build_optim_wrapper(optim_wrapper, model)
        return super().prepare(model, optim_wrapper=optim_wrapper, **kwargs)

    def build_optim_wrapper(self, optim_wrapper, model: nn.Module) -> BaseOptimWrapper:
        """As mmengine's; a wrapper that was built for the whole model is moved to its shards."""
        if not isinstance(optim_wrapper, OptimWrapper):
            return super().build_optim_wrapper(optim_wrapper, model)
        shards = {
            name.replace('_fsdp_wrapped_module.', ''): shard
            for name, shard in model.named_parameters()
        }
        for group in optim_wrapper.optimizer.param_groups:
            group['params'] = [shards[self.id_to_name[id(param)]] for param in group['params']]
        if optim_wrapper.clip_grad_kwargs and optim_wrapper.clip_func is nn.utils.clip_grad_norm_:
            optim_wrapper.clip_func = functools.partial(_clip_grad_norm, model)
        return optim_wrapper

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """As mmengine's, which passes arguments in an order that torch has changed."""
        optimizer = self.optim_wrapper.optimizer
        shards = FullyShardedDataParallel.optim_state_dict_to_load(
            self.model, optimizer, state_dict
        )
        self.optim_wrapper.load_state_dict(shards)


def _clip_grad_norm(model, params, max_norm: float, norm_type: float = 2.0):
    return model.clip_grad_norm_(max_norm, norm_type)
