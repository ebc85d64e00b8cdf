"""Draw training curves: `python -m mmvig plot RUN… --out FILE.png`."""

import argparse
import sys
from pathlib import Path

from mmvig.visualization.training_curves import draw_curves, read_run

from .run import UserError, command


@command
def main() -> None:
    parser = argparse.ArgumentParser(
        description='Draw loss, learning rate and metrics of one or several trainings.'
    )
    parser.add_argument('runs', nargs='+', metavar='RUN', help='work dirs, or scalars.json files')
    parser.add_argument(
        '--out', default='curves.png', metavar='FILE', help='.png, .svg or .pdf; curves.png'
    )
    parser.add_argument(
        '--metrics',
        nargs='+',
        metavar='NAME',
        help="names in the logs, such as mIoU, grad_norm or loss_mask; the host's main ones",
    )
    args = parser.parse_args()
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
