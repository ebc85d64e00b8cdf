"""Draw the mini data set: `python -m mmvig draw-mini [DIR]`."""

import argparse

from mmvig.datasets.shapes import ensure_mini

from .run import command


@command
def main() -> None:
    parser = argparse.ArgumentParser(description='Draw the mini data set.')
    parser.add_argument('root', nargs='?', default='data/mini', help='folder, data/mini by default')
    ensure_mini(parser.parse_args().root)
