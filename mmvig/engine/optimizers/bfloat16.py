"""Training in bfloat16 on any device."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.optim import OptimWrapper
from torch import nn

from mmvig.engine.mixed_precision import bfloat16
from mmvig.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Mixed precision with bfloat16, for CPUs too, which mmengine's `AmpOptimWrapper` refuses.

    The range of bfloat16 is that of float32, so losses are not scaled. Weights, the optimizer and
    what torch's autocast deems unsafe stay in float32; see `mmvig.engine.mixed_precision`. A
    checkpoint of either wrapper resumes by the other::

        optim_wrapper = dict(type='mmvig.BFloat16OptimWrapper')

    Args:
        **kwargs: See `mmengine.optim.OptimWrapper`.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """See `mmengine.optim.OptimWrapper.optim_context`."""
        with super().optim_context(model), bfloat16(model):
            yield

    def load_state_dict(self, state_dict: dict) -> None:
        """See `mmengine.optim.OptimWrapper.load_state_dict`."""
        kept = {key: value for key, value in state_dict.items() if key != 'loss_scaler'}
        super().load_state_dict(kept)
