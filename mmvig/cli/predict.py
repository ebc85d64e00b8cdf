"""Predict images: `python -m mmvig predict CONFIG CHECKPOINT IMAGE… --out DIR`.

The inferencer of the config's own library does the work: boxes and masks (mmdet), label maps
(mmseg) or classes (mmpretrain). DIR/vis gets the pictures, DIR/sheet.png all of them on one sheet,
and DIR/preds (mmdet, JSON), DIR/pred (mmseg, label maps) or DIR/preds.json (mmpretrain) the rest.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmvig.checks.config import check_folder
from mmvig.checks.errors import UserError
from mmvig.checks.images import check_image
from mmvig.visualization.contact_sheet import contact_sheet

from .config import read_config
from .options import make_parser
from .predictor import make_predictor
from .run import command

SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff'}


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser('predict', 'Predict images and draw the results.')
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument('checkpoint', help='path of a checkpoint of the whole model')
    parser.add_argument('images', nargs='+', help='image files, or folders of them')
    parser.add_argument('--out', required=True, metavar='DIR', help='where the results go')
    parser.add_argument('--device', help="such as 'cpu' or 'cuda:0'; a GPU if there is one")
    parser.add_argument('--batch-size', type=int, default=1, help='images at once')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='draw boxes from this score on (mmdet)'
    )
    args = parser.parse_args(argv)
    if args.batch_size < 1:
        raise UserError(f'expected --batch-size to be at least 1, got {args.batch_size}')
    cfg = read_config(args.config)
    images = find_images(args.images)
    out = Path(args.out)
    predictor = make_predictor(cfg, args.checkpoint, args.device)
    check_folder(out, '--out')
    predictor(images, out, args.batch_size, args.score_thr)
    pictures = sorted(p for p in (out / 'vis').iterdir() if p.suffix.lower() in SUFFIXES)
    contact_sheet(pictures, out / 'sheet.png', columns=min(3, len(pictures)))


def find_images(names: list[str]) -> list[Path]:
    """The images named, and those in the folders named; each one must be readable."""
    images = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
            if not inside:
                raise UserError(f'expected images in the folder {path}, found none')
            images += inside
        elif path.is_file():
            images.append(path)
        else:
            raise UserError(f'expected an image or a folder at {path}, there is none')
    for path in images:
        try:
            check_image(path)
        except ValueError as error:
            raise UserError(error) from error
    twice = [name for name, count in Counter(path.name for path in images).items() if count > 1]
    if twice:
        raise UserError(
            f'expected images of different names, as the results are named by them; '
            f'{twice[0]} comes more than once'
        )
    return images
