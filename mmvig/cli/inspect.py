"""Draw the inside of a backbone: `python -m mmvig inspect CONFIG [CHECKPOINT] IMAGE --out DIR`.

For each layer DIR gets figures of its gates, features and receptive field, and numbers.json gets
their numbers; `mmvig.visualization.inspect.mixers` has the mathematics. Without a checkpoint the
weights are random.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mmvig.checks.config import check_folder
from mmvig.checks.errors import UserError, as_user_error
from mmvig.visualization.inspect.figures import draw, numbers
from mmvig.visualization.inspect.model import build_model, load_image
from mmvig.visualization.inspect.record import layer_names, record

from .config import read_config
from .options import make_parser
from .run import command


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser('inspect', 'Draw the inside of a backbone.')
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
    args = parser.parse_intermixed_args(argv)
    cfg = read_config(args.config)
    checkpoints = [args.checkpoint]
    if args.against:
        checkpoints.append(None if args.against == 'random' else args.against)
    models = {}
    with as_user_error():
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
    summary = {label: numbers(layers) for label, layers in models.items()}
    (out / 'numbers.json').write_text(json.dumps(summary, indent=2, ensure_ascii=False) + '\n')
    for name, layer in next(iter(models.values())).items():
        for sentence in layer.mixer.not_applicable:
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
