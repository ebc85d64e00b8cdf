"""Parameters and operations of a model: `python tools/get_flops.py CONFIG [--shape H W]`.

`mmvig.engine.flops` says what is counted.
"""

import json
import sys
from collections.abc import Sequence

from mmvig.checks import check
from mmvig.checks.errors import UserError, as_user_error
from mmvig.engine.flops import count_flops

from .config import read_config
from .options import make_parser
from .run import command

# The customary size of an image by library.
SHAPES = {'mmdet': (800, 1280), 'mmseg': (512, 512), 'mmpretrain': (224, 224)}


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser('flops', "Count a model's parameters and operations.")
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help='size of the image; 800 1280 (mmdet), 512 512 (mmseg), 224 224 (mmpretrain)',
    )
    parser.add_argument('--json', action='store_true', help='print one line of JSON')
    args = parser.parse_args(argv)
    cfg = read_config(args.config)
    shape = tuple(args.shape or SHAPES.get(cfg.get('default_scope'), (224, 224)))
    if min(shape) < 32:
        raise UserError(f'expected a --shape of at least 32 32, got {shape[0]} {shape[1]}')
    check(cfg)
    with as_user_error():
        counts = count_flops(cfg, shape)
    if args.json:
        sys.stdout.write(json.dumps(counts) + '\n')
        return
    sys.stdout.write(f'{args.config}, one image of {shape[0]}x{shape[1]}\n')
    for name, part in counts['parts'].items():
        sys.stdout.write(f'  {name:16} {_format(part)}\n')
    sys.stdout.write(
        f'  {"total":16} {_format(counts)}, {counts["op_macs"] / 1e9:.3f} G of them in bi_gla\n'
    )


def _format(counts: dict) -> str:
    return (
        f'{counts["parameters"] / 1e6:9.2f} M parameters '
        f'{counts["macs"] / 1e9:10.3f} G multiply-adds'
    )
