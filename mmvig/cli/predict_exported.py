"""Predict images by an exported model: `python -m mmvig predict --model FILE IMAGE… --out DIR`.

The files in DIR are those of `predict` with a config and a checkpoint. It needs neither torch nor
an MM library, so it imports no module that does.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mmvig.apis.names import WRITABLE, file_name, find_files, name_results, picture_name
from mmvig.deploy import Classification, Deployed, Detection
from mmvig.deploy.deployed import Result
from mmvig.deploy.images import read_image, write_image
from mmvig.deploy.runtimes import RUNTIMES
from mmvig.deploy.sheet import contact_sheet
from mmvig.messages import join_some

SUFFIXES = {*WRITABLE, '.pgm', '.ppm'}  # looked for in folders
ON_SHEET = 30  # pictures


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog='mmvig predict', description='Predict images by an exported model.'
    )
    parser.add_argument('--model', required=True, metavar='FILE.onnx', help='an exported model')
    parser.add_argument('images', nargs='+', help='image files, or folders of them')
    parser.add_argument('--out', required=True, metavar='DIR', help='where the results go')
    parser.add_argument('--runtime', choices=list(RUNTIMES), default='onnxruntime')
    parser.add_argument('--threads', type=int, help='of the runtime; all cores by default')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='draw boxes from this score on (detection)'
    )
    args = parser.parse_args(argv)
    try:
        predict(args)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        if os.environ.get('MMVIG_TRACEBACK'):
            traceback.print_exception(error)
        sys.stderr.write(f'error: {" ".join(str(error).split())}\n')
        sys.exit(2)


def predict(args: argparse.Namespace) -> None:
    """Write the results of all images that can be read and prepared.

    Raises:
        ValueError: some cannot; names them.
    """
    paths = find_files(args.images, SUFFIXES)
    errors: dict[Path, str] = {}
    photos = readable(paths, errors)
    first = next(photos, None)  # before a model is loaded and anything written
    if first:
        model = Deployed(args.model, args.runtime, args.threads)
        out = Path(args.out)
        check_folder(out)
        photos = itertools.chain([first], photos)
        write_results(predicted(model, photos, errors), model, name_results(paths), args)
    if errors:
        reason, *others = errors.values()
        more = f'; nor can {join_some(list(errors)[1:])} be predicted' if others else ''
        done = len(paths) - len(errors)
        rest = f'; the others are predicted ({done})' if done else ''
        raise ValueError(reason + more + rest)


def readable(paths: Sequence[Path], errors: dict[Path, str]) -> Iterator[tuple[Path, np.ndarray]]:
    """Images with their paths; what is wrong with the others is put into `errors`."""
    for path in paths:
        try:
            image = read_image(path)
        except ValueError as error:
            errors[path] = str(error)
        else:
            yield path, image


def predicted(
    model: Deployed, photos: Iterable[tuple[Path, np.ndarray]], errors: dict[Path, str]
) -> Iterator[tuple[Path, np.ndarray, Result]]:
    """Results beside their images; as in `readable`, errors are those of an image."""
    for path, image in photos:
        try:
            (result,) = model([image])
        except ValueError as error:
            errors[path] = f'{path}: {error}'
        else:
            yield path, image, result


def write_results(
    results: Iterable[tuple[Path, np.ndarray, Result]],
    model: Deployed,
    names: Mapping[Path, str],
    args: argparse.Namespace,
) -> None:
    out = Path(args.out)
    pictures, classes = [], {}
    for path, image, result in results:
        name = names[path]
        if isinstance(result, Classification):
            pictures.append(out / f'vis/{name}.png')
            classes[file_name(path, name)] = result.as_dict()
        else:
            pictures.append(out / 'vis' / picture_name(path, name))
            if isinstance(result, Detection):
                write_text(json.dumps(result.as_dict()), out / f'preds/{name}.json')
            else:
                write_image(result.labels, out / f'pred/{name}.png')
        write_image(model.draw(image, result, args.score_thr), pictures[-1])
    if classes:
        text = json.dumps(classes, indent=2, ensure_ascii=False) + '\n'
        write_text(text, out / 'preds.json')
    if shown := pictures[:ON_SHEET]:
        contact_sheet(shown, out / 'sheet.png', columns=min(3, len(shown)))


def check_folder(out: Path) -> None:
    """Files can be written into a folder, which is made if need be.

    Raises:
        ValueError: they cannot; says why.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(
            f'expected --out to be a folder in which files can be written, {out} is not: '
            f'{error.strerror}'
        ) from error


def write_text(text: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')
