"""Draw the mini data set: `python -m mmvig draw-mini [DIR]`."""

from collections.abc import Sequence

from mmvig.datasets.shapes import ensure_mini

from .options import make_parser
from .run import command


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser('draw-mini', 'Draw the mini data set.')
    parser.add_argument('root', nargs='?', default='data/mini', help='folder, data/mini by default')
    ensure_mini(parser.parse_args(argv).root)
