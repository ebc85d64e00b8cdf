"""Test-time augmentation: `test … --tta` averages the predictions for several views of an image."""

import copy

from mmengine.config import Config

from mmvig.checks.dataset_config import inner_datasets
from mmvig.checks.errors import UserError

# What merges the views for a config that does not say, by the library.
MERGED_BY = {
    'mmdet': dict(
        type='mmvig.InstanceSegTTAModel',  # of boxes alone it does as mmdet's own
        tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
    ),
    'mmseg': dict(type='SegTTAModel'),
    'mmpretrain': dict(type='AverageClsScoreTTA'),
}
FLIPS = [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)]
FLIP_KEYS = ('flip', 'flip_direction')  # by which the views are turned back


def apply_tta(cfg: Config) -> str:
    """Let the model of a config merge the views of its `tta_pipeline`.

    Without one the views are the image of the test pipeline and its mirror image, and without a
    `tta_model` the library's own merges them.

    Returns:
        str: what was taken for missing sections, '' if none is missing.

    Raises:
        UserError: it has no such section, and none can be made from its test pipeline.
    """
    taken = []
    if not cfg.get('tta_pipeline'):
        cfg.tta_pipeline = _flipped(cfg)
        taken.append('no tta_pipeline, so that the views are the image and its mirror image')
    if not cfg.get('tta_model'):
        scope = cfg.get('default_scope')
        if scope not in MERGED_BY:
            raise UserError(f'--tta needs tta_model in a config of default_scope {scope!r}')
        cfg.tta_model = copy.deepcopy(MERGED_BY[scope])
        taken.append(f'no tta_model, so that {cfg.tta_model.type} merges the views')
    for _, dataset in inner_datasets(cfg.test_dataloader.dataset, 'test_dataloader.dataset'):
        dataset.pipeline = cfg.tta_pipeline
    cfg.model = dict(**cfg.tta_model, module=cfg.model)
    return f'--tta: the config has {"; and ".join(taken)}' if taken else ''


def _flipped(cfg: Config) -> list[dict]:
    """The test pipeline, with both views before its last step, which packs them."""
    (_, dataset), *_ = inner_datasets(cfg.test_dataloader.dataset, 'test_dataloader.dataset')
    *steps, last = copy.deepcopy(list(dataset.get('pipeline') or [{}]))
    if not str(last.get('type')).rpartition('.')[2].startswith('Pack'):
        raise UserError(
            '--tta needs tta_pipeline in a config whose test pipeline does not end by a step Pack…'
        )
    if any('TestTimeAug' in str(step.get('type')) for step in steps):
        raise UserError('--tta needs tta_pipeline beside a test pipeline with TestTimeAug')
    meta_keys = last.get('meta_keys')
    if meta_keys is not None:
        last['meta_keys'] = (*meta_keys, *(key for key in FLIP_KEYS if key not in meta_keys))
    views = [copy.deepcopy(FLIPS), [last]]
    return [*steps, dict(type='TestTimeAug', transforms=views)]
