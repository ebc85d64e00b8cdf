"""What is around a graph: with torch in place of the runtime, results are those of `predict`.

To the last bit, as the same arithmetic comes between.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

import mmvig
from mmvig.apis.inference import Predictor
from mmvig.deploy import Deployed, Detection, Segmentation, deployed
from mmvig.export.exportable import Exportable
from mmvig.export.models import make_exportable
from tests.support.docs_workspace import write_checkpoint

pytest.importorskip('onnxscript')

SCALE = (333, 200)  # of the pipelines, for speed
# Random weights are sure of no box, so the best ones are taken whatever their score.
RCNN = dict(rpn=dict(max_per_img=50), rcnn=dict(score_thr=0.0, max_per_img=8))
WIDTHS = [32, 64, 128, 256]
CASES = {
    'vig_maskrcnn': dict(neck=dict(in_channels=WIDTHS), test_cfg=RCNN),
    'vig_retinanet': dict(
        neck=dict(in_channels=WIDTHS[1:]), test_cfg=dict(score_thr=0.0, max_per_img=8)
    ),
    'vig_upernet': dict(
        decode_head=dict(in_channels=WIDTHS, channels=32),
        auxiliary_head=dict(in_channels=128, channels=32),
    ),
    'vig_upernet_mini': dict(test_cfg=dict(mode='slide', crop_size=(64, 96), stride=(40, 70))),
    'vig_imagenet': dict(head=dict(in_channels=256)),
    'vig_classifier_mini': {},
}


class TorchRuntime:
    """An exportable module behind the interface of `mmvig.deploy.runtimes.Runtime`."""

    def __init__(self, model: Exportable) -> None:
        self.outputs = model.outputs
        self._model = model

    @torch.inference_mode()
    def __call__(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors = [torch.from_numpy(inputs[name]) for name in self._model.inputs]
        outputs = self._model.module(*tensors)
        return {name: x.numpy() for name, x in zip(self.outputs, outputs, strict=True)}


@pytest.fixture(scope='module')
def photos(tmp_path_factory) -> list[Path]:
    """Of odd sizes, upright and lying."""
    paths = []
    for height, width in ((97, 131), (241, 160)):
        noise = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        paths.append(tmp_path_factory.mktemp('photos') / f'{height}.png')
        cv2.imwrite(str(paths[-1]), cv2.blur(noise, (9, 9)))
    return paths


def small_config(name: str) -> Config:
    """With ViG nano, light heads and small images."""
    cfg = Config.fromfile(mmvig.get_config(name))
    cfg.merge_from_dict({'model': CASES[name]})
    cfg.model.backbone.update(arch='nano', init_cfg=None)
    if 'roi_head' in cfg.model:
        cfg.model.roi_head.bbox_head.fc_out_channels = 64
    dataset = cfg.test_dataloader.dataset
    for step in dataset.pipeline:
        if step['type'] == 'Resize' and step.get('keep_ratio'):
            step['scale'] = SCALE
    if name == 'vig_classifier_mini':  # whose names are those of folders
        dataset.metainfo = dict(classes=['disc', 'ring', 'square', 'star', 'triangle'])
    return cfg


@pytest.mark.parametrize('name', CASES)
def test_results_are_those_of_predict(name, photos, monkeypatch, tmp_path):
    cfg = small_config(name)
    write_checkpoint(tmp_path / 'random.pth', cfg)
    predictor = Predictor(cfg, str(tmp_path / 'random.pth'), device='cpu')
    model = make_exportable(predictor.model, predictor.cfg)
    monkeypatch.setattr(deployed, 'read_manifest', lambda path: model.manifest)
    monkeypatch.setattr(deployed, 'open_file', lambda *_: TorchRuntime(model))
    found = Deployed('model.onnx')(photos)
    for prediction, result in zip(predictor.predict(photos, draw=False), found, strict=True):
        if isinstance(result, Segmentation):
            np.testing.assert_array_equal(result.labels, prediction.result)
            continue
        assert result.as_dict() == prediction.result
        if isinstance(result, Detection):
            assert len(result.labels) == 8
