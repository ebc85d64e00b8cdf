"""Whether the annotations that an evaluator reads have what it needs.

mmdet trains on files that its evaluation cannot use, and tells so at the end of the first epoch.
"""

from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.registry import METRICS, init_default_scope

from .coco_file import read_coco
from .errors import UserError


def check_evaluation(cfg: Config, *splits: str) -> None:
    """The COCO files that evaluators of the splits read have what pycocotools asks for.

    A file that is not there is told by `check_data`.

    Raises:
        UserError: names the file, and what is missing.
    """
    if cfg.get('default_scope') != 'mmdet' or not is_main_process():
        return
    for split in splits:
        for evaluator in _evaluators(cfg.get(f'{split}_evaluator')):
            path = evaluator.get('ann_file')
            if isinstance(path, str) and Path(path).is_file() and _reads_coco(evaluator):
                _check_file(Path(path), evaluator)


def _evaluators(section) -> Iterator[dict]:
    """Metrics of an evaluator's config."""
    for entry in section if isinstance(section, list | tuple) else [section]:
        if hasattr(entry, 'get'):
            yield entry


def _reads_coco(evaluator: dict) -> bool:
    """Whether it is mmdet's COCO metric, or one that counts as it does, and has truth to read."""
    from mmdet.evaluation import CocoMetric

    init_default_scope('mmdet')
    with METRICS.switch_scope_and_registry(None) as registry:
        kind = registry.get(evaluator['type']) if isinstance(evaluator.get('type'), str) else None
    if not isinstance(kind, type) or not issubclass(kind, CocoMetric):
        return False
    own = kind.compute_metrics is not CocoMetric.compute_metrics
    return not own and not evaluator.get('format_only')


def _check_file(path: Path, evaluator: dict) -> None:
    keys = ['iscrowd', *(['segmentation'] if 'segm' in evaluator.get('metric', 'bbox') else [])]
    for annotation in read_coco(path)['annotations']:
        for key in keys:
            if key not in annotation:
                example = '"iscrowd": 0' if key == 'iscrowd' else 'polygons or run lengths'
                raise UserError(
                    f'{path}: expected {key} in every annotation, as {evaluator["type"]} reads it, '
                    f'annotation {annotation["id"]} has none: add {example}'
                )
