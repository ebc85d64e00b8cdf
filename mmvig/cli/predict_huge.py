"""The part of `predict` that is for huge images: those that are predicted by strips of rows."""

import argparse
import sys
from collections.abc import Mapping
from logging import INFO, WARNING
from pathlib import Path

import mmcv
import mmengine
import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.utils import ProgressBar

from mmvig.apis.coco_results import CocoResults
from mmvig.apis.huge_images.choice import STRIPS
from mmvig.apis.huge_images.form import without_resize
from mmvig.apis.huge_images.job import Job, LabelFile
from mmvig.apis.huge_images.size import MOST_IN_MEMORY, format_size
from mmvig.apis.inference import Predictor
from mmvig.apis.label_maps import LabelMaps
from mmvig.apis.names import picture_name
from mmvig.apis.tasks import Prediction
from mmvig.checks.errors import UserError

STEPS = 100  # of a bar


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        'huge images',
        f'Images of more than {format_size(MOST_IN_MEMORY)} are predicted by strips of rows, '
        'exactly and in bounded memory, if the model is one of mmseg or mmdet whose test pipeline '
        'leaves images at their own size. Label images are TIFF files then. It needs rasterio, and '
        'temporary space on a disk. A prediction that was stopped goes on when started again.',
    )
    group.add_argument(
        '--strips',
        choices=STRIPS,
        default='auto',
        help=f'predict by strips: images of more than {format_size(MOST_IN_MEMORY)} (auto), all, '
        'or none',
    )
    group.add_argument(
        '--strip-rows', type=int, metavar='N', help='rows at once; chosen to take about 1 GiB'
    )
    group.add_argument(
        '--temp', metavar='DIR', help='where temporary files go; beside the results by default'
    )
    group.add_argument(
        '--no-resize',
        action='store_true',
        help='leave Resize out of the test pipeline, so that images keep their size',
    )
    group.add_argument(
        '--scale-limits',
        action='store_true',
        help='let the numbers of candidates and of objects, nms_pre and max_per_img of test_cfg, '
        'grow with images that are larger than photos, when they are predicted by strips (mmdet)',
    )


def check_options(args: argparse.Namespace) -> None:
    """The options fit.

    Raises:
        UserError: one does not.
    """
    if args.strip_rows is not None and args.strip_rows < 1:
        raise UserError(f'expected --strip-rows to be at least 1, got {args.strip_rows}')


def change_pipeline(cfg: Config, args: argparse.Namespace) -> Config:
    """The config with the test pipeline that the options ask for.

    Raises:
        UserError: the pipeline is not one of mmseg or mmdet.
    """
    if not args.no_resize:
        return cfg
    scope = cfg.get('default_scope')
    if scope not in ('mmseg', 'mmdet'):
        raise UserError(f'expected a config of mmseg or mmdet for --no-resize, got {scope}')
    return without_resize(cfg)


class StripPrediction:
    """Predicts huge images one by one, with a bar on stderr, and writes what `predict` writes.

    Args:
        predictor: the model.
        names: of the results by image; see `name_results`.
        results: those of `--results`, None without them.
        args: the options of the command.
    """

    def __init__(
        self,
        predictor: Predictor,
        names: Mapping[Path, str],
        results: CocoResults | LabelMaps | None,
        args: argparse.Namespace,
    ) -> None:
        self._predictor, self._names, self._args = predictor, names, args
        self._results = results

    def __call__(self, image: Path) -> Path | None:
        """Predict an image; returns the path of the picture drawn, if any.

        Raises:
            ImageError: the image cannot be read by rows, or is damaged.
        """
        from mmvig.apis.huge_images.predict import predict_huge  # imports rasterio

        name = self._names[image]
        job = Job(
            image, self._label_files(name), self._folder(name), Path(self._args.checkpoint),
            self._args.strip_rows, self._args.score_thr, self._args.scale_limits,
        )  # fmt: skip
        if job.folder.exists():
            print_log(f'going on with {image}, of which {job.folder} holds a part', 'current', INFO)
        with _Bar() as bar:
            try:
                prediction = predict_huge(self._predictor, job, bar)
            finally:
                if job.folder.exists():
                    print_log(
                        f'{image} is unfinished; started again, the same command goes on from '
                        f'{job.folder}',
                        'current',
                        WARNING,
                    )
        if self._predictor.task == 'detection':
            self._write_objects(prediction, name)
        if not self._args.out:
            return None
        picture = Path(self._args.out, 'vis', picture_name(image, name))
        mmcv.imwrite(mmcv.rgb2bgr(prediction.picture_YXC), str(picture))
        return picture

    def _write_objects(self, prediction: Prediction, name: str) -> None:
        if self._results is not None:
            self._results.write(prediction)
        if self._args.out:
            mmengine.dump(prediction.result, str(Path(self._args.out, f'preds/{name}.json')))

    def _label_files(self, name: str) -> list[LabelFile]:
        if self._predictor.task == 'detection':
            return []
        files = []
        if self._args.out:
            dtype = np.uint8 if len(self._predictor.classes) <= 256 else np.uint16
            files.append(LabelFile(Path(self._args.out, f'pred/{name}.tif'), dtype))
        if self._results is not None:
            path = Path(self._args.results, f'{name}.tif')
            files.append(LabelFile(path, self._results.dtype, self._results.first))
        return files

    def _folder(self, name: str) -> Path:
        place = self._args.temp or self._args.out or self._args.results
        if place == self._args.results and self._predictor.task == 'detection':
            place = Path(place).parent  # of the JSON file
        return Path(place, f'unfinished-{name.replace("/", "-")}')


class _Bar:
    """A bar on stderr of what is still to do, with the time left."""

    def __init__(self) -> None:
        self._bar: ProgressBar | None = None
        self._done = 0

    def __enter__(self) -> '_Bar':
        return self

    def __exit__(self, *error) -> None:
        if self._bar is not None:
            sys.stderr.write('\n')

    def __call__(self, share: float) -> None:
        """The part of the whole work that is done, up to 1."""
        before, self._done = self._done, int(share * STEPS)
        if self._bar is None:  # begins here, as an earlier run may have done a part
            if self._done < STEPS:
                self._bar = ProgressBar(STEPS - self._done, file=sys.stderr)
        elif self._done > before:
            self._bar.update(self._done - before)
