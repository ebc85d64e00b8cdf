"""Parameters and operations of a model: `python tools/get_flops.py CONFIG [--shape H W]`.

torch's own counter sees every convolution, matrix product and `bi_gla` that runs; norms,
activations and sums are not counted, as is the custom. One multiply-add counts as one (MACs). The
heads of a detector count as mmdet runs them for this: with the proposals of random weights, masks
for 100 of them (Mask R-CNN) or for all of them in every stage (Cascade Mask R-CNN).
"""

import argparse
import json
import sys
import warnings

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmvig.checks import errors
from mmvig.checks.config import check_sections

from .run import UserError, command, read_config

# The customary size of an image by task.
SHAPES = {'mmdet': (800, 1280), 'mmseg': (512, 512), 'mmpretrain': (224, 224)}


@command
def main() -> None:
    parser = argparse.ArgumentParser(description="Count a model's parameters and operations.")
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help='size of the image; 800 1280 (mmdet), 512 512 (mmseg), 224 224 (mmpretrain)',
    )
    parser.add_argument('--json', action='store_true', help='print one line of JSON')
    args = parser.parse_args()
    cfg = read_config(args.config)
    shape = tuple(args.shape or SHAPES.get(cfg.get('default_scope'), (224, 224)))
    if min(shape) < 32:
        raise UserError(f'expected a --shape of at least 32 32, got {shape[0]} {shape[1]}')
    check_sections(cfg)
    with errors.explained():
        counts = count(cfg, shape)
    if args.json:
        sys.stdout.write(json.dumps(counts) + '\n')
        return
    sys.stdout.write(f'{args.config}, one image of {shape[0]}x{shape[1]}\n')
    for name, part in counts['parts'].items():
        sys.stdout.write(
            f'  {name:16} {part["parameters"] / 1e6:9.2f} M parameters '
            f'{part["macs"] / 1e9:10.3f} G multiply-adds\n'
        )
    sys.stdout.write(
        f'  {"total":16} {counts["parameters"] / 1e6:9.2f} M parameters '
        f'{counts["macs"] / 1e9:10.3f} G multiply-adds, {counts["op_macs"] / 1e9:.3f} G of them '
        'in bi_gla\n'
    )


def build(cfg: Config) -> nn.Module:
    """The config's model with random weights, on the CPU, for one process, in eval mode."""
    init_default_scope(cfg.get('default_scope'))
    model_cfg = cfg.model.copy()
    model_cfg.backbone = dict(model_cfg.backbone, init_cfg=None)
    model = revert_sync_batchnorm(MODELS.build(model_cfg))
    model.eval()  # not chained: some models' eval returns nothing
    return model


def count(cfg: Config, shape: tuple[int, int]) -> dict:
    """Parameters and multiply-adds of a config's model and of its parts for one image [H, W]."""
    model = build(cfg)
    batch = {'inputs': [torch.zeros(3, *shape, dtype=torch.uint8)]}
    if sample := _sample(cfg.get('default_scope'), shape):
        batch['data_samples'] = [sample]
    else:
        batch['inputs'] = torch.stack(batch['inputs'])
    counter = FlopCounterMode(display=False, depth=2)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        data = model.data_preprocessor(batch)
        with counter:
            model(**data, mode='tensor')
    flops = counter.get_flop_counts()
    whole = type(model).__name__
    macs = {name: sum(ops.values()) // 2 for name, ops in flops.items()}
    parts = {
        name: {'parameters': _parameters(part), 'macs': macs.get(f'{whole}.{name}', 0)}
        for name, part in model.named_children()
        if name in ('backbone', 'neck')
    }
    # Not all hosts call their heads as modules, so the counter has no lines of their own for them.
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
    """What the host's model wants to know of the image."""
    meta = dict(img_shape=shape, ori_shape=shape, pad_shape=shape, scale_factor=(1.0, 1.0))
    if scope == 'mmdet':
        from mmdet.structures import DetDataSample

        return DetDataSample(metainfo=dict(meta, batch_input_shape=shape, img_id=0))
    if scope == 'mmseg':
        from mmseg.structures import SegDataSample

        return SegDataSample(metainfo=meta)
    return None
