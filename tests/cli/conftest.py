"""Models of each task for commands that predict."""

from pathlib import Path

import pytest
import torch


@pytest.fixture(scope='session')
def models(valid_inputs, tmp_path_factory) -> dict[str, tuple[Path, Path]]:
    """A config and a checkpoint of random weights: 'det', 'seg' and 'cls'."""
    from mmengine.config import Config

    import mmvig
    from mmvig.datasets.shapes import CLASSES
    from mmvig.engine.build import build_model

    cfg = Config.fromfile(mmvig.get_config('vig_classifier_mini'))
    classifier = tmp_path_factory.mktemp('classifier') / 'cls.pth'
    torch.manual_seed(0)
    meta = {'dataset_meta': {'classes': CLASSES}}
    torch.save({'state_dict': build_model(cfg).state_dict(), 'meta': meta}, classifier)
    cfg.dump(classifier.with_suffix('.py'))
    folders = {'det': valid_inputs, 'seg': valid_inputs, 'cls': classifier.parent}
    return {task: (here / f'{task}.py', here / f'{task}.pth') for task, here in folders.items()}
