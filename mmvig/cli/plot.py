"""Draw training curves: `python -m mmvig plot RUN… --out FILE.png`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from mmvig.checks.errors import UserError
from mmvig.visualization.training_curves import draw_curves, read_run

from .options import make_parser
from .run import command


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser(
        'plot', 'Draw loss, learning rate and metrics of one or several trainings.'
    )
    parser.add_argument('runs', nargs='+', metavar='RUN', help='work dirs, or scalars.json files')
    parser.add_argument(
        '--out', default='curves.png', metavar='FILE', help='.png, .svg or .pdf; curves.png'
    )
    parser.add_argument(
        '--metrics',
        nargs='+',
        metavar='NAME',
        help='names in the logs, such as mIoU, grad_norm or loss_mask; the main ones by default',
    )
    args = parser.parse_args(argv)
    out = Path(args.out)
    if out.suffix not in ('.png', '.svg', '.pdf'):
        raise UserError(f'expected --out to end in .png, .svg or .pdf, got {args.out}')
    try:
        runs = {name: read_run(Path(name)) for name in args.runs}
        figure = draw_curves(runs, args.metrics)
    except (FileNotFoundError, ValueError) as error:
        raise UserError(error) from error
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120)
    sys.stdout.write(f'{out}\n')
