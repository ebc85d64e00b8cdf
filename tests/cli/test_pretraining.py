"""From classification to detection and segmentation, with tiny models."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from tests.support.cli import run_in
from tests.support.commands import ROOT, logged

pytestmark = pytest.mark.slow

FEW = ('train_cfg.max_epochs=1', 'train_dataloader.dataset.indices=64',
       'val_dataloader.dataset.indices=2')  # fmt: skip


@pytest.fixture(scope='module')
def classifier(workspace):
    """The checkpoint of a short classification training."""
    config = ROOT / 'configs/cls/vig_classifier_mini.py'
    run_in(workspace, 'train', config, '--work-dir', 'cls', '--cfg-options', *FEW)
    return workspace / 'cls/epoch_1.pth'


def downstream(folder: Path, config: str, classifier: Path) -> Path:
    """A config that starts from the classifier, as a user writes it."""
    path = folder / f'{config.replace("/", "-")}-pretrained.py'
    path.write_text(
        f'_base_ = {str(ROOT / "configs" / f"{config}.py")!r}\n'
        'model = dict(backbone=dict(init_cfg=dict(\n'
        f"    _delete_=True, type='Pretrained', checkpoint={str(classifier)!r},\n"
        "    prefix='backbone.')))\n"
    )
    return path


@pytest.mark.parametrize('config', ['det/vig_maskrcnn_mini', 'seg/vig_upernet_mini'])
def test_pretrained_weights_are_loaded(config, classifier, tmp_path):
    cfg = Config.fromfile(downstream(tmp_path, config, classifier))
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    model.init_weights()
    trained = torch.load(classifier, weights_only=False)['state_dict']
    own = model.backbone.state_dict()
    shared = [key for key in own if f'backbone.{key}' in trained]
    assert len(own) - len(shared) == 6, 'all but the norms of the first three maps'
    for key in shared:
        assert torch.equal(own[key], trained[f'backbone.{key}']), key


def test_classifier_to_detector_to_pictures(classifier, workspace):
    config = downstream(workspace, 'det/vig_maskrcnn_mini', classifier)
    run_in(
        workspace, 'train', config, '--work-dir', 'det-from-cls', '--cfg-options',
        *FEW, 'train_dataloader.dataset.indices=8',
    )  # fmt: skip
    assert np.isfinite(logged(workspace / 'det-from-cls')).all()
    tuned = torch.load(workspace / 'det-from-cls/epoch_1.pth', weights_only=False)['state_dict']
    before = torch.load(classifier, weights_only=False)['state_dict']
    key = 'backbone.stages.3.blocks.0.mlp.fc1.weight'
    change = (tuned[key] - before[key]).abs().max()
    assert 0 < change < 0.01, 'it went on from the classifier, for two iterations'

    images = sorted((workspace / 'data/mini/images/validation').glob('*.jpg'))[:2]
    run_in(
        workspace, 'predict', config, 'det-from-cls/epoch_1.pth', *images,
        '--out', 'found', '--score-thr', 0,
    )  # fmt: skip
    for image in images:
        assert cv2.imread(str(workspace / 'found/vis' / image.name)) is not None
        found = json.loads((workspace / f'found/preds/{image.stem}.json').read_text())
        assert len(found['scores']) == len(found['masks'])
