"""Parameters and multiply-adds of a model.

torch's own counter sees every convolution, matrix product and `bi_gla` that runs; norms,
activations and sums are not counted, as is the custom. One multiply-add counts as one (MACs). The
heads of a detector count as mmdet runs them for this: with the proposals of random weights, masks
for 100 of them (Mask R-CNN) or for all of them in every stage (Cascade Mask R-CNN).
"""

import warnings

import torch
from mmengine.config import Config
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmvig.checks.first_step import FirstStep
from mmvig.checks.pure_python import by_names

from .build import build_model


def count_flops(cfg: Config, shape: tuple[int, int]) -> dict:
    """Parameters and multiply-adds of a config's model and of its parts for one image.

    Args:
        cfg: of mmdet, mmseg or mmpretrain.
        shape: height and width of the image.

    Returns:
        dict: 'parameters', 'macs' and 'op_macs' (those of `bi_gla`) of the model; 'parts' with the
        first two for 'backbone', 'neck' and 'heads'; 'shape'.
    """
    cfg = by_names(cfg)
    model = build_model(cfg)
    channels = getattr(model.backbone, 'in_channels', 3)
    batch = {'inputs': [torch.zeros(channels, *shape, dtype=torch.uint8)]}
    if sample := _sample(cfg.get('default_scope'), shape):
        batch['data_samples'] = [sample]
    else:
        batch['inputs'] = torch.stack(batch['inputs'])
    counter = FlopCounterMode(display=False, depth=2)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        data = model.data_preprocessor(batch)
        watch = FirstStep(model)  # parts that do not fit are told by their settings
        try:
            with counter:
                model(**data, mode='tensor')
        finally:
            watch.close()
    flops = counter.get_flop_counts()
    root = type(model).__name__
    macs = {name: sum(ops.values()) // 2 for name, ops in flops.items()}
    parts = {
        name: {'parameters': _parameters(part), 'macs': macs.get(f'{root}.{name}', 0)}
        for name, part in model.named_children()
        if name in ('backbone', 'neck')
    }
    # Not all libraries call their heads as modules, so the counter has no entries for them.
    parts['heads'] = {
        'parameters': _parameters(model) - sum(part['parameters'] for part in parts.values()),
        'macs': macs['Global'] - sum(part['macs'] for part in parts.values()),
    }
    return {
        'shape': list(shape),
        'parameters': _parameters(model),
        'macs': macs['Global'],
        'op_macs': sum(n for op, n in flops['Global'].items() if 'bi_gla' in str(op)) // 2,
        'parts': parts,
    }


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _sample(scope: str | None, shape: tuple[int, int]):
    """The image's meta data that a model of the library reads."""
    meta = dict(img_shape=shape, ori_shape=shape, pad_shape=shape, scale_factor=(1.0, 1.0))
    if scope == 'mmdet':
        from mmdet.structures import DetDataSample

        return DetDataSample(metainfo=dict(meta, batch_input_shape=shape, img_id=0))
    if scope == 'mmseg':
        from mmseg.structures import SegDataSample

        return SegDataSample(metainfo=meta)
    return None
