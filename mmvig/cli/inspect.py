"""Draw what goes on inside: `python -m mmvig inspect CONFIG [CHECKPOINT] IMAGE --out DIR`.

For each layer DIR gets a figure of its gates (`mmvig.visualization.inspect.mixers` has the mathematics), of
its features and of its receptive field, and numbers.json what they show. Without a checkpoint the
weights are random.
"""

import argparse
import json
import sys
from pathlib import Path

from mmvig.checks import errors
from mmvig.checks.config import check_folder
from mmvig.visualization.inspect.figures import draw, numbers
from mmvig.visualization.inspect.model import build_model, load_image
from mmvig.visualization.inspect.record import layer_names, record

from .run import UserError, command, read_config


@command
def main() -> None:
    parser = argparse.ArgumentParser(description='Draw what goes on inside a backbone.')
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument(
        'checkpoint', nargs='?', help='path of a checkpoint of the whole model; random without'
    )
    parser.add_argument('image', help='path of an image')
    parser.add_argument('--out', required=True, metavar='DIR', help='where the figures go')
    parser.add_argument(
        '--against',
        metavar='CHECKPOINT',
        help="a second checkpoint of the config, drawn beside the first; 'random' for none",
    )
    parser.add_argument(
        '--layers',
        nargs='+',
        metavar='NAME',
        help="such as stages.2.blocks.1, or 'all'; the last of each stage unless said otherwise",
    )
    args = parser.parse_intermixed_args()
    cfg = read_config(args.config)
    checkpoints = [args.checkpoint]
    if args.against:
        checkpoints.append(None if args.against == 'random' else args.against)
    models = {}
    with errors.explained():
        for label, checkpoint in zip(_labels(checkpoints), checkpoints, strict=True):
            model = build_model(cfg, checkpoint)
            batch, picture = load_image(cfg, model, args.image)
            layers = layer_names(model.backbone) if args.layers == ['all'] else args.layers
            models[label] = record(model.backbone, batch, layers)
    out = Path(args.out)
    check_folder(out, '--out')
    for name, figure in draw(picture, models):
        figure.savefig(out / f'{name}.png', dpi=110)
        sys.stdout.write(f'{out / name}.png\n')
    found = {label: numbers(layers) for label, layers in models.items()}
    (out / 'numbers.json').write_text(json.dumps(found, indent=2, ensure_ascii=False) + '\n')
    for name, layer in next(iter(models.values())).items():
        for sentence in layer.sight.absent:
            sys.stdout.write(f'{name}: {sentence}\n')


def _labels(checkpoints: list[str | None]) -> list[str]:
    """Short names of checkpoints that still tell them apart."""
    names = ['random weights' if path is None else Path(path).stem for path in checkpoints]
    if len(set(names)) < len(names):
        names = [
            name if path is None else path for name, path in zip(names, checkpoints, strict=True)
        ]
    if len(set(names)) < len(names):
        raise UserError(f'expected two different checkpoints to compare, got {names[0]} twice')
    return names
