"""Prediction with a model of any MM library: pictures and numbers in memory, or as files."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmvig import checkpoint as checkpoints
from mmvig.checks.errors import one_line
from mmvig.checks.model import accepted_channels
from mmvig.checks.pure_python import by_names
from mmvig.kernels.native.forks import use_one_thread_in_forks

from .class_names import class_names
from .images import ImageError, ModelInput, load, to_rgb
from .names import name_results
from .result_folder import ResultFolder
from .tasks import Classification, Detection, Prediction, Segmentation
from .video import Video

TASKS = {'mmdet': Detection, 'mmseg': Segmentation, 'mmpretrain': Classification}

OnError = Callable[[ImageError], None]
Pair = tuple[ModelInput, ModelInput]  # an image as it was named, and as the model is given it


class Predictor:
    """A trained model of mmdet, mmseg or mmpretrain, run by the inferencer of its library.

    It also works in a process that is forked afterwards, on one thread.

    Args:
        cfg: config with default_scope mmdet, mmseg or mmpretrain.
        path: path of a checkpoint of the whole model.
        device: for example 'cpu' or 'cuda:0'; None selects a GPU if there is one.

    Attributes:
        task: 'detection', 'segmentation' or 'classification'.
        model: the model in eval mode.
        classes: the names of its classes.

    Raises:
        FileNotFoundError, ValueError: the scope is another one, or the checkpoint cannot be read or
            does not fit.
    """

    def __init__(self, cfg: Config, path: str, device: str | None = None) -> None:
        cfg = by_names(cfg)
        scope = cfg.get('default_scope')
        if scope not in TASKS:
            raise ValueError(
                f'expected a config with default_scope mmdet, mmseg or mmpretrain, got {scope!r}'
            )
        checkpoint = checkpoints.read(path)
        weights = checkpoints.weights_of(checkpoint, path)
        init_default_scope(scope)
        use_one_thread_in_forks()
        self.cfg = cfg
        self._scope = scope
        self._task = TASKS[scope](cfg, path, device)
        self.task = self._task.name
        checkpoints.check_fit(self.model, weights, path)
        if names := class_names(cfg, checkpoint):
            self._task.name_classes(names)

    @property
    def model(self) -> nn.Module:
        return self._task.inferencer.model

    @property
    def classes(self) -> Sequence[str] | None:
        return self._task.classes

    def predict(
        self,
        images: Iterable[ModelInput],
        batch_size: int = 1,
        score_thr: float = 0.3,
        draw: bool = True,
        on_error: OnError | None = None,
    ) -> Iterator[Prediction]:
        """Predict images, a batch at a time.

        Args:
            images: paths, or pixels [Y, X, 3], BGR in uint8, such as the frames of a `Video`. Of a
                file with several pictures the first is predicted.
            batch_size: images at once.
            score_thr: boxes are drawn if their score reaches it.
            draw: whether pictures are drawn.
            on_error: called for each image that cannot be read or prepared, which is then left out.

        Raises:
            ImageError: an image cannot be read or prepared, and there is no `on_error`; or the
                model does not read the channels of a video, which is told before the first frame.
        """
        init_default_scope(self._scope)
        if isinstance(images, Video):
            self._check_video(images)
        return self._predict_all(images, batch_size, score_thr, draw, on_error or _raise)

    @torch.inference_mode()
    def _predict_all(
        self,
        images: Iterable[ModelInput],
        batch_size: int,
        score_thr: float,
        draw: bool,
        on_error: OnError,
    ) -> Iterator[Prediction]:
        init_default_scope(self._scope)  # another library's model may have been used in between
        rest = iter(images)
        while chunk := list(itertools.islice(rest, batch_size)):
            yield from self._predict(_load(chunk, on_error), on_error, score_thr, draw)

    def _check_video(self, video: Video) -> None:
        try:
            self._batch([(video.path, video.first)])
        except ImageError:
            raise
        except Exception as error:
            raise _cannot_prepare(video.path, video.first, error) from error

    def _predict(
        self, pairs: list[Pair], on_error: OnError, score_thr: float, draw: bool
    ) -> list[Prediction]:
        """Predict images as one batch, or one by one if the library cannot batch their sizes."""
        pairs, batch = self._prepare(pairs, on_error)
        if batch is not None:
            inputs = [loaded for _, loaded in pairs]
            try:
                predictions = self._task.predict(inputs, batch, score_thr, draw)
            except torch.cuda.OutOfMemoryError:
                raise
            except Exception:
                if len(pairs) == 1:
                    raise
            else:
                named = zip(pairs, predictions, strict=True)
                return [prediction._replace(image=image) for (image, _), prediction in named]
        alone = (self._predict([pair], on_error, score_thr, draw) for pair in pairs)
        return [prediction for predictions in alone for prediction in predictions]

    def _prepare(self, pairs: list[Pair], on_error: OnError) -> tuple[list[Pair], object | None]:
        """The images that the test pipeline can prepare, and their batch if they fit into one."""
        if not pairs:
            return [], None
        try:
            return pairs, self._batch(pairs)
        except Exception as error:
            if len(pairs) == 1:
                told = isinstance(error, ImageError)
                on_error(error if told else _cannot_prepare(*pairs[0], error))
                return [], None
        kept = [pair for pair in pairs if self._prepare([pair], on_error)[0]]
        return (kept, None) if len(kept) == len(pairs) else self._prepare(kept, on_error)

    def _batch(self, pairs: list[Pair]) -> object:
        """What the test pipeline makes of images.

        Raises:
            ImageError: an image has other channels than the model reads.
            Exception: of the pipeline.
        """
        batch = self._task.prepare([loaded for _, loaded in pairs])
        accepted = accepted_channels(self.model)
        for (image, _), pixels in zip(pairs, batch.get('inputs', ()), strict=False):
            if accepted and len(pixels) not in accepted:
                name = image if isinstance(image, Path) else 'an array'
                raise ImageError(
                    image,
                    f'expected a number of channels of {" or ".join(map(str, sorted(accepted)))} '
                    f'after the test pipeline, as in_channels of model.backbone says, {name} has '
                    f'{len(pixels)}',
                )
        return batch

    def __call__(
        self, images: Sequence[Path], out: Path, batch_size: int = 1, score_thr: float = 0.3
    ) -> None:
        """Predict images and write the results into the folder `out`.

        `out/vis/` gets the pictures. The predictions go to `out/preds/NAME.json` (detection: boxes,
        masks, scores), `out/pred/NAME.png` (segmentation: label maps) or `out/preds.json`
        (classification: class and score by file name). NAME is the image's stem, or more of its
        path where stems repeat: see `name_results`.
        """
        with ResultFolder(out, self.task, name_results(images)) as folder:
            for prediction in self.predict(images, batch_size, score_thr):
                folder.write(prediction)

    def summarize(self, prediction: Prediction, score_thr: float = 0.3) -> str:
        """A prediction in one line: counts of instances, shares of the pixels, or the class."""
        return self._task.summarize(prediction, score_thr)


def _load(images: Iterable[ModelInput], on_error: OnError) -> list[Pair]:
    """Images with what the model is given of them, without those that cannot be read."""
    pairs = []
    for image in images:
        try:
            pairs.append((image, load(image) if isinstance(image, Path) else image))
        except ImageError as error:
            on_error(error)
    return pairs


def _cannot_prepare(image: ModelInput, loaded: ModelInput, cause: Exception) -> ImageError:
    height, width = to_rgb(loaded).shape[:2]
    name = image if isinstance(image, Path) else 'an array'
    error = ImageError(
        image,
        f'expected an image that the test pipeline can prepare, {name} with {width}×{height} '
        f'pixels fails in it: {type(cause).__name__}: {one_line(cause)}',
    )
    error.__cause__ = cause
    return error


def _raise(error: ImageError) -> NoReturn:
    raise error
