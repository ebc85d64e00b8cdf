"""Small models to export, and the files of runtimes that they become."""

import onnx
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn
from torch.export import Dim

import mmvig
from mmvig.deploy.manifest import Manifest
from mmvig.engine.build import build_model
from mmvig.export.dynamic import for_any_size
from mmvig.export.exportable import Exportable
from mmvig.export.trace import trace

from .backbone_cases import CASES

ARCH = dict(channels=[32, 64], depths=[1, 1], heads=[1, 2], hidden=[64, 64])
PALETTE = [[10 * i, 20, 30] for i in range(6)]
META = {'classes': [f'class {i}' for i in range(6)], 'palette': PALETTE}


class Maps(nn.Module):
    """A backbone alone."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.backbone(image))


def backbone(name: str) -> Exportable:
    """A backbone of CASES in its smallest size, as if it were a model."""
    case = CASES[name]
    stages = case.sizes['channels']
    count = len(stages) if isinstance(stages, tuple) else 1
    torch.manual_seed(0)
    model = case.build(arch=case.sizes, out_indices=tuple(range(count)))
    return Exportable(
        module=Maps(model).eval(),
        inputs=('image',),
        outputs=tuple(f'map{i}' for i in range(count)),
        examples=(torch.zeros(2, 3, 320, 512),),
        dynamic_shapes=({0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC},),
        manifest=Manifest(
            'segmentation', (), (), (), (0.0,) * 3, (1.0,) * 3, 'RGB', 'none', 'none', ''
        ),
    )


def traced(name: str, cache: dict) -> tuple[Exportable, onnx.ModelProto]:
    """A backbone of CASES and its trace, made once for a `cache`."""
    if name not in cache:
        model = backbone(name)
        cache[name] = model, trace(model._replace(module=for_any_size(model.module)))
    return cache[name]


def segmentation_config(stages: int = 2, **model) -> Config:
    """UperNet of the mini set on a backbone of one or two stages; `model` over its model."""
    cfg = Config.fromfile(mmvig.get_config('vig_upernet_mini'))
    arch = {name: sizes[:stages] for name, sizes in ARCH.items()}
    indices = list(range(stages))
    cfg.model.backbone.update(arch=arch, out_indices=indices)
    cfg.model.decode_head.update(in_channels=arch['channels'], in_index=indices, channels=8)
    cfg.model.update(auxiliary_head=None, **model)
    return cfg


def segmentation_model(cfg: Config) -> nn.Module:
    """Its model with random weights, with classes as the inferencer of mmseg sets them."""
    torch.manual_seed(0)
    model = build_model(cfg)
    model.init_weights()
    randomize_statistics(model)
    model.dataset_meta = META
    return model


def classification_config() -> Config:
    """The classifier of the mini set on a backbone of two stages."""
    cfg = Config.fromfile(mmvig.get_config('vig_classifier_mini'))
    cfg.model.backbone.update(arch=ARCH, out_indices=(1,))
    cfg.model.head.in_channels = 64
    return cfg


def classification_model(cfg: Config) -> nn.Module:
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    nn.init.normal_(model.head.fc.weight, std=1.0)  # so that scores depend on the image
    return model.eval()


def randomize_statistics(model: nn.Module) -> None:
    """Running statistics as after a training, of which none are those that a norm starts with."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
