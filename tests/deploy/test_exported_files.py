"""From a checkpoint through `export` to `predict --model`: the results are those of `predict`."""

import json
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmvig.datasets.shapes import draw
from mmvig.deploy import run_lengths
from tests.support import detectors

pytest.importorskip('onnxscript')
exports = pytest.importorskip('tests.support.exports')
pytestmark = pytest.mark.slow  # traces whole models

CLASSES = [f'class {i}' for i in range(5)]
RUNTIMES = [name for name in ('onnxruntime', 'openvino') if find_spec(name)]
# Differences by the rounding of another runtime, at most; measured: scores 2.3e-6, boxes 9e-5 of a
# pixel, a share of 3e-5 of a mask's pixels, and no pixel of a label map.
SCORES, PIXELS, SHARE = 1e-5, 5e-4, 2e-4


def segmentor() -> tuple[Config, nn.Module]:
    cfg = exports.segmentation_config()
    resize = dict(type='Resize', scale=(160, 120), keep_ratio=True)
    cfg.test_dataloader.dataset.pipeline[1] = resize  # so that logits are resized too
    model = exports.segmentation_model(cfg)
    return cfg, model


def classifier() -> tuple[Config, nn.Module]:
    cfg = exports.classification_config()
    model = exports.classification_model(cfg)
    model.head.fc.weight.data.mul_(0.1)  # so that scores are not all but one
    return cfg, model


def detector() -> tuple[Config, nn.Module]:
    cfg = detectors.config('mask')
    cfg.test_dataloader.dataset.pipeline[1] = dict(type='Resize', scale=(200, 150), keep_ratio=True)
    return cfg, detectors.build(cfg)


@pytest.fixture(scope='module')
def photos(tmp_path_factory) -> Path:
    """A folder of two drawn images, upright and lying."""
    folder = tmp_path_factory.mktemp('photos')
    cv2.imwrite(str(folder / 'a.jpg'), draw(1)[0])
    cv2.imwrite(str(folder / 'b.png'), draw(2)[0][:97, :83])
    return folder


def predict(make, folder: Path, photos: Path, cli) -> tuple[Path, list[Path]]:
    """Folders of results: of the checkpoint, and of its exported file in each runtime."""
    cfg, model = make()
    cfg.dump(folder / 'small.py')
    meta = getattr(model, 'dataset_meta', None) or {'classes': CLASSES}
    checkpoint = {'state_dict': model.state_dict(), 'meta': {'dataset_meta': meta}}
    torch.save(checkpoint, folder / 'small.pth')
    whole = (folder / 'small.py', folder / 'small.pth')
    file = folder / 'model.onnx'
    cli.output('export', *whole, '--form', 'portable', '--no-check', '--out', file)
    cli.output('predict', *whole, photos, '--out', folder / 'torch')
    for runtime in RUNTIMES:
        options = ('--runtime', runtime, '--threads', 1)
        cli.output('predict', '--model', file, photos, '--out', folder / runtime, *options)
    found = [folder / runtime for runtime in RUNTIMES]
    for out in found:
        assert names(out) == names(folder / 'torch')
    return folder / 'torch', found


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*')}


def test_segmentation(cli, photos, tmp_path):
    expected, found = predict(segmentor, tmp_path, photos, cli)
    for name in ('a', 'b'):
        truth = cv2.imread(str(expected / f'pred/{name}.png'), cv2.IMREAD_UNCHANGED)
        assert len(np.unique(truth)) > 1
        for out in found:
            labels = cv2.imread(str(out / f'pred/{name}.png'), cv2.IMREAD_UNCHANGED)
            assert (labels != truth).mean() < SHARE


def test_classification(cli, photos, tmp_path):
    expected, found = predict(classifier, tmp_path, photos, cli)
    truth = json.loads((expected / 'preds.json').read_text())
    for out in found:
        classes = json.loads((out / 'preds.json').read_text())
        assert list(classes) == list(truth)
        for name, result in classes.items():
            assert truth[name]['score'] < 0.99
            assert result['class'] == truth[name]['class']
            assert result['score'] == pytest.approx(truth[name]['score'], abs=SCORES)


def test_detection(cli, photos, tmp_path):
    expected, found = predict(detector, tmp_path, photos, cli)
    for name in ('a', 'b'):
        truth = json.loads((expected / f'preds/{name}.json').read_text())
        assert len(truth['labels']) > 5
        for out in found:
            result = json.loads((out / f'preds/{name}.json').read_text())
            assert list(result) == list(truth)
            assert result['labels'] == truth['labels']
            np.testing.assert_allclose(result['scores'], truth['scores'], rtol=0, atol=SCORES)
            np.testing.assert_allclose(result['bboxes'], truth['bboxes'], rtol=0, atol=PIXELS)
            for mask, other in zip(result['masks'], truth['masks'], strict=True):
                assert (run_lengths.decode(mask) != run_lengths.decode(other)).mean() < SHARE
