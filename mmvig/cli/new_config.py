"""Write a config for a folder of data: `python -m mmvig new-config det|seg FOLDER`."""

import argparse
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmvig.apis.own_data.detection import prepare_detection
from mmvig.apis.own_data.folder import Folder
from mmvig.apis.own_data.segmentation import prepare_segmentation
from mmvig.checks.errors import UserError

from .options import make_parser
from .run import command

PREPARE = {'det': prepare_detection, 'seg': prepare_segmentation}


@command
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    folder = Folder(args.folder)
    plan = PREPARE[args.task](folder, args)
    out = Path(args.out) if args.out else Path(f'{folder.name}_{plan.method}.py')
    say(plan.lines)
    if plan.problems:
        say(f'problem  {text}' for text in plan.problems)
        raise UserError(
            f'{folder.root}: expected data without the problems listed, which training would stop '
            f'at or learn wrong; {len(plan.problems)} found, no config is written'
        )
    if out.suffix != '.py':
        raise UserError(f'expected --out to be the path of a config, NAME.py, got {out}')
    if out.exists() and not args.force:
        raise UserError(f'expected no file at {out}, there is one: --force overwrites it')
    out.parent.mkdir(parents=True, exist_ok=True)
    text = plan.write(out)
    out.write_text(text, encoding='utf-8')
    say([f'written  {out}', '', f'Next:    python -m mmvig train {shlex.quote(str(out))}'])
    say(['         Its first lines say when it will end (eta); Ctrl-C and --resume go on later.'])


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser('new-config', 'Look at a folder of data and write a config for it.')
    parser.add_argument('task', choices=PREPARE, help='boxes and masks of objects, or label maps')
    parser.add_argument('folder', help='data in COCO, VOC or YOLO form (det), or PNG masks (seg)')
    parser.add_argument('--out', metavar='FILE', help='the config, FOLDER_METHOD.py by default')
    parser.add_argument('--force', action='store_true', help='overwrite what is there')
    parser.add_argument('--boxes', action='store_true', help='det: leave masks out')
    names = 'seg: names of the labels 0, 1, …, by default from a list in the folder'
    parser.add_argument('--classes', metavar='A,B,…', help=names)
    parser.add_argument(
        '--zero-unlabelled', action='store_true', help='seg: 0 is no class, the first class is 1'
    )
    parser.add_argument('--seed', type=int, default=0, help='of the split, if one is to be made')
    return parser.parse_args(argv)


def say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f'{line}\n')
