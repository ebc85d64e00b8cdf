"""Predict images and videos: `python -m mmvig predict CONFIG CHECKPOINT FILE… --out DIR`.

The inferencer of the config's own library does the work: boxes and masks (mmdet), label maps
(mmseg) or classes (mmpretrain). DIR/vis gets the pictures, DIR/sheet.png the first of them on one
sheet, and DIR/preds (mmdet, JSON), DIR/pred (mmseg, label maps) or DIR/preds.json (mmpretrain) the
rest. `--results` writes what evaluation servers take, with or without `--out`.

Files that cannot be read are left out, and the command ends with an error that names them. Huge
images are predicted by strips of rows: see `predict_huge`.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from mmengine.utils import ProgressBar

from mmvig.apis.coco_results import CocoResults, read_coco_ids
from mmvig.apis.huge_images.choice import choose_strips
from mmvig.apis.images import ImageError
from mmvig.apis.inference import Predictor
from mmvig.apis.label_maps import LabelMaps
from mmvig.apis.names import find_files, name_results
from mmvig.apis.result_folder import ResultFolder
from mmvig.apis.tasks import Prediction
from mmvig.apis.video import Video, VideoResults, is_video
from mmvig.checks.config import check_folder
from mmvig.checks.errors import UserError
from mmvig.deploy.sheet import contact_sheet

from .config import read_config
from .options import make_parser
from .precision import add_dtype, apply_dtype
from .predict_huge import StripPrediction, add_options, change_pipeline, check_options
from .predict_inputs import SUFFIXES, check_any_readable, describe, note_pictures
from .predictor import make_predictor
from .run import command

ON_SHEET = 30  # pictures


@command
def main(argv: Sequence[str] | None = None) -> None:
    args = _parse(argv)
    cfg = change_pipeline(read_config(args.config), args)
    files = find_files(args.files, SUFFIXES)
    check_any_readable(files, args.strips)
    predictor = make_predictor(cfg, args.checkpoint, args.device)
    apply_dtype(predictor.model, args.dtype)
    try:
        errors = _predict(predictor, files, args)
    except torch.cuda.OutOfMemoryError as error:
        raise UserError(
            f'expected the memory of the GPU to hold {args.batch_size} images at once, it does '
            'not: lower --batch-size, or the size in the test pipeline; of huge images --strip-rows'
        ) from error
    if errors:
        done = len(files) - len(errors)
        raise UserError(describe(errors) + (f'; the others are predicted ({done})' if done else ''))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser('predict', 'Predict images and videos, and draw the results.')
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument('checkpoint', help='path of a checkpoint of the whole model')
    parser.add_argument(
        'files', nargs='+', metavar='FILE', help='images and videos, or folders of them'
    )
    parser.add_argument('--out', metavar='DIR', help='where pictures and predictions go')
    parser.add_argument(
        '--results',
        metavar='PATH',
        help="a JSON file in COCO's results form (mmdet), or a folder of label maps with the "
        "labels of the data set's masks (mmseg)",
    )
    parser.add_argument(
        '--ann-file',
        metavar='JSON',
        help='an annotation file of COCO, whose ids the results get (mmdet); without it they are '
        'numbered, and a second file *.images.json says how',
    )
    parser.add_argument('--device', help="such as 'cpu' or 'cuda:0'; a GPU if there is one")
    parser.add_argument('--batch-size', type=int, default=1, help='images or frames at once')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='draw boxes from this score on (mmdet)'
    )
    add_dtype(parser)
    add_options(parser)
    args = parser.parse_args(argv)
    check_options(args)
    if args.batch_size < 1:
        raise UserError(f'expected --batch-size to be at least 1, got {args.batch_size}')
    if not (args.out or args.results):
        raise UserError('expected --out DIR, --results PATH or both, got neither')
    if args.ann_file and not args.results:
        raise UserError('expected --results beside --ann-file, as they get its ids')
    return args


def _predict(
    predictor: Predictor, files: Sequence[Path], args: argparse.Namespace
) -> list[ImageError]:
    """Write the results of all files, and return what was wrong with some."""
    videos = [path for path in files if is_video(path)]
    images = [path for path in files if not is_video(path)]
    huge = choose_strips(predictor, images, args.strips)
    if huge and args.dtype != 'float32':
        raise UserError(
            f'expected --dtype float32 for images that are predicted by strips, such as {huge[0]}, '
            f'got {args.dtype}'
        )
    in_memory = [path for path in images if path not in huge]
    names = name_results(files)
    errors: list[ImageError] = []
    maps = None
    with ExitStack() as stack:
        writers = []
        if args.results:
            if videos:
                raise UserError(
                    f'expected images for --results, got the video {videos[0]}: --out alone writes '
                    'the results of its frames'
                )
            maps = stack.enter_context(_open_results(predictor, images, names, args))
            writers.append(maps)
        if args.out:
            out = Path(args.out)
            check_folder(out, '--out')
            folder = stack.enter_context(ResultFolder(out, predictor.task, names))
            writers.append(folder)
        predictions = predictor.predict(
            in_memory, args.batch_size, args.score_thr, draw=bool(args.out), on_error=errors.append
        )
        for prediction in _track(predictions, len(in_memory)) if in_memory else ():
            for writer in writers:
                writer.write(prediction)
        predict_by_strips = StripPrediction(predictor, names, maps, args)
        for path in huge:
            try:
                picture = predict_by_strips(path)
            except ImageError as error:
                errors.append(error)
            else:
                if args.out:
                    folder.pictures.append(picture)
    if args.out and folder.pictures:
        shown = folder.pictures[:ON_SHEET]
        contact_sheet(shown, out / 'sheet.png', columns=min(3, len(shown)))
    for path in videos:
        try:
            _predict_video(predictor, path, out, names[path], args)
        except ImageError as error:
            errors.append(error)
    note_pictures(images)
    return errors


def _open_results(
    predictor: Predictor,
    images: Sequence[Path],
    names: Mapping[Path, str],
    args: argparse.Namespace,
) -> CocoResults | LabelMaps:
    place = Path(args.results)
    if args.ann_file and predictor.task != 'detection':
        raise UserError(f'expected a model of mmdet for --ann-file, got {predictor.task}')
    if predictor.task == 'segmentation':
        check_folder(place, '--results')
        return LabelMaps(place, names, predictor.cfg, len(predictor.classes))
    if predictor.task == 'classification':
        raise UserError(
            'expected a model of mmdet or mmseg for --results, got classification, whose results '
            'are in preds.json of --out'
        )
    if place.suffix != '.json':
        raise UserError(f'expected --results to end in .json, got {place}')
    check_folder(place.parent, 'the place of --results')
    ids = None
    if args.ann_file:
        ids = read_coco_ids(Path(args.ann_file), images, predictor.classes)
    return CocoResults(place, names, predictor.classes, ids)


def _predict_video(
    predictor: Predictor, path: Path, out: Path, name: str, args: argparse.Namespace
) -> None:
    video = Video(path)
    predictions = predictor.predict(video, args.batch_size, args.score_thr)
    with VideoResults(out, predictor.task, name, video) as results:
        for prediction in _track(predictions, video.count):
            results.write(prediction)
    video.check_complete()


def _track(predictions: Iterable[Prediction], total: int) -> Iterator[Prediction]:
    """The same, with a bar of their progress on stderr; `total` is 0 if it is not known."""
    if total == 1:
        yield from predictions
        return
    bar = ProgressBar(total, file=sys.stderr)
    try:
        for prediction in predictions:
            yield prediction
            bar.update()
    finally:
        sys.stderr.write('\n')
