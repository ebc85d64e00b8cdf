"""The base class of backbones and necks: mmengine's, or torch's where mmengine is not installed."""

from torch import nn

from mmvig.optional import import_or_none


class _TorchModule(nn.Module):
    """What the models use of mmengine's `BaseModule`: it keeps `init_cfg`."""

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__()
        self.init_cfg = init_cfg


_model = import_or_none('mmengine.model')
BaseModule = _model.BaseModule if _model else _TorchModule
