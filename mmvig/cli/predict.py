"""Predict images: `python -m mmvig predict CONFIG CHECKPOINT IMAGE… --out DIR`.

The inferencer of the config's own library does the work: boxes and masks (mmdet), label maps
(mmseg) or classes (mmpretrain). DIR/vis gets the pictures, DIR/sheet.png all of them on one sheet,
and DIR/preds (mmdet, JSON), DIR/pred (mmseg, label maps) or DIR/preds.json (mmpretrain) the rest.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import cv2
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmvig import checkpoint

from .run import UserError, command, read_checkpoint, read_config
from .sheet import contact_sheet

SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff'}


@command
def main() -> None:
    parser = argparse.ArgumentParser(description='Predict images and draw what was found.')
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument('checkpoint', help='path of a checkpoint of the whole model')
    parser.add_argument('images', nargs='+', help='image files, or folders of them')
    parser.add_argument('--out', required=True, metavar='DIR', help='where the results go')
    parser.add_argument('--device', help="such as 'cpu' or 'cuda:0'; a GPU if there is one")
    parser.add_argument('--batch-size', type=int, default=1, help='images at once')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='draw boxes from this score on (mmdet)'
    )
    args = parser.parse_args()
    if args.batch_size < 1:
        raise UserError(f'expected --batch-size to be at least 1, got {args.batch_size}')
    cfg = read_config(args.config)
    content = read_checkpoint(args.checkpoint)
    images = find_images(args.images)
    out = Path(args.out)
    scope = cfg.get('default_scope')
    predict = {'mmdet': _detect, 'mmseg': _segment, 'mmpretrain': _classify}.get(scope)
    if predict is None:
        raise UserError(
            f'expected a config with default_scope mmdet, mmseg or mmpretrain, got {scope!r}'
        )
    init_default_scope(scope)
    (out / 'vis').mkdir(parents=True, exist_ok=True)
    predict(cfg, args, content, [str(image) for image in images], out)
    pictures = sorted(p for p in (out / 'vis').iterdir() if p.suffix.lower() in SUFFIXES)
    contact_sheet(pictures, out / 'sheet.png', columns=min(3, len(pictures)))


def find_images(names: list[str]) -> list[Path]:
    """The images named, and those in the folders named; each one must be readable."""
    found = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
            if not inside:
                raise UserError(f'expected images in the folder {path}, found none')
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise UserError(f'expected an image or a folder at {path}, there is none')
    for path in found:
        if cv2.imread(str(path)) is None:
            raise UserError(f'expected an image, {path} cannot be read as one')
    twice = [name for name, count in Counter(path.name for path in found).items() if count > 1]
    if twice:
        raise UserError(
            f'expected images of different names, for the results are named by them; '
            f'{twice[0]} comes more than once'
        )
    return found


def _check_fit(model, content: dict, name: str) -> None:
    try:
        checkpoint.check_fit(model, checkpoint.weights_of(content), name)
    except ValueError as error:
        raise UserError(error) from error


def _detect(cfg: Config, args, content: dict, images: list[str], out: Path) -> None:
    from mmdet.apis import DetInferencer

    inferencer = DetInferencer(cfg, args.checkpoint, device=args.device, show_progress=False)
    _check_fit(inferencer.model, content, args.checkpoint)
    inferencer(
        images,
        batch_size=args.batch_size,
        out_dir=str(out),
        no_save_pred=False,
        pred_score_thr=args.score_thr,
    )


def _segment(cfg: Config, args, content: dict, images: list[str], out: Path) -> None:
    from mmseg.apis import MMSegInferencer

    inferencer = MMSegInferencer(cfg, args.checkpoint, device=args.device, show_progress=False)
    _check_fit(inferencer.model, content, args.checkpoint)
    inferencer(images, batch_size=args.batch_size, out_dir=str(out), opacity=0.5)
    for i, image in enumerate(images):  # the host numbers them
        (out / 'pred' / f'{i:08d}_pred.png').replace(out / 'pred' / f'{Path(image).stem}.png')


def _classify(cfg: Config, args, content: dict, images: list[str], out: Path) -> None:
    from mmpretrain.apis import ImageClassificationInferencer

    inferencer = ImageClassificationInferencer(cfg, args.checkpoint, device=args.device)
    _check_fit(inferencer.model, content, args.checkpoint)
    results = inferencer(images, batch_size=args.batch_size, show_dir=str(out / 'vis'))
    classes = {
        Path(image).name: {
            'class': result.get('pred_class', int(result['pred_label'])),
            'score': float(result['pred_score']),
        }
        for image, result in zip(images, results, strict=True)
    }
    (out / 'preds.json').write_text(json.dumps(classes, indent=2) + '\n')
