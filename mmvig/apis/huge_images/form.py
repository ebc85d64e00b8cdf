"""What the test pipeline makes of a file, as far as it can be made of rows."""

from enum import Enum

from mmengine.config import Config

from mmvig.checks.errors import UserError

# Steps that change no image: what they load or pack is not for the model.
WITHOUT_EFFECT = {'LoadAnnotations', 'PackDetInputs', 'PackSegInputs'}


class Form(Enum):
    """How a loader gives images.

    As OpenCV does, with 8 bits: in BGR or in gray. As OpenCV does, unchanged: in BGR or BGRA with
    the bits of the file. As the file has them: all bands in their order.
    """

    COLOR = 'color'
    GRAY = 'gray'
    UNCHANGED = 'unchanged'
    STORED = 'stored'


def read_form(cfg: Config) -> Form:
    """What the loader of the test pipeline gives.

    Raises:
        UserError: the pipeline does what cannot be done by rows, such as a change of size.
    """
    loader, *steps = cfg.test_dataloader.dataset.pipeline
    for step in steps:
        _check_step(step)
    return _loaded(loader)


def keeps_size(step: dict) -> bool:
    """Whether a step of a pipeline is no `Resize`, or one to the size that there is."""
    if _name(step) != 'Resize':
        return True
    factor = step.get('scale_factor')
    factors = factor if isinstance(factor, list | tuple) else (factor,)
    return step.get('scale') is None and all(value == 1 for value in factors)


def without_resize(cfg: Config) -> Config:
    """The same config, whose test pipeline leaves images at their own size.

    mmdet asks `Resize` for the factor, so a step that changes nothing takes its place there.
    """
    dataset = cfg.test_dataloader.dataset
    kept = [step for step in dataset.pipeline if _name(step) != 'Resize']
    if cfg.get('default_scope') == 'mmdet':
        kept.insert(1, dict(type='Resize', scale_factor=1.0, keep_ratio=True))
    dataset.pipeline = kept
    return cfg


def _check_step(step: dict) -> None:
    name = _name(step)
    if name == 'Resize' and not keeps_size(step):
        setting = next(key for key in ('scale', 'scale_factor') if step.get(key) is not None)
        raise UserError(
            'expected a test pipeline that keeps the size of images, as strips do, got Resize('
            f'{setting}={step[setting]}): --no-resize leaves it out'
        )
    if name not in WITHOUT_EFFECT and name != 'Resize':
        raise UserError(
            'expected a test pipeline that only loads and packs images, as strips cannot do '
            f'more, got {name}'
        )


def _loaded(loader: dict) -> Form:
    name = _name(loader)
    if name == 'LoadSingleRSImageFromFile':
        return Form.STORED
    if name != 'LoadImageFromFile':
        raise UserError(
            'expected LoadImageFromFile or LoadSingleRSImageFromFile as the first step of the test '
            f'pipeline, got {name}, which does not load by rows'
        )
    backend = loader.get('imdecode_backend') or 'cv2'
    if backend == 'tifffile':
        return Form.STORED
    kind = loader.get('color_type', 'color')
    kinds = {'color': Form.COLOR, 'grayscale': Form.GRAY, 'unchanged': Form.UNCHANGED}
    if backend != 'cv2' or kind not in kinds:
        raise UserError(
            "expected LoadImageFromFile with imdecode_backend='cv2' or 'tifffile' and color_type="
            f"'color', 'grayscale' or 'unchanged', got {backend!r} and {kind!r}"
        )
    return kinds[kind]


def _name(step: dict) -> str:
    """The type of a step without its scope."""
    return str(step['type']).rpartition('.')[2]
