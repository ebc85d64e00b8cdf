"""A detector that has learnt: its exported file is as precise as torch, and equal at every size."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from mmdet.apis import init_detector
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, init_default_scope
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn

import mmvig
from mmvig.engine.build import build_model
from mmvig.export.detection import detector
from mmvig.export.exporter import export
from tests.support.detection_file import (
    DetectionFile,
    assert_equal_at_every_size,
    in_onnxruntime,
    in_openvino,
)

pytestmark = pytest.mark.slow

IMAGES, STEPS = 1, 50
# Measured: 6e-5 of the largest value of an output, after the many layers of ViG.
TOLERANCE = 2e-4
RUNTIMES = [name for name in ('onnxruntime', 'openvino') if find_spec(name)]


def learn(model: nn.Module, batch: dict) -> None:
    """Train on one batch until some of its objects are found, but not all of them exactly."""
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=10)
    for _ in range(STEPS):
        losses = model(**model.data_preprocessor(batch, training=True), mode='loss')
        loss, _ = model.parse_losses(losses)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        schedule.step()


@pytest.fixture(scope='module')
def learnt(workspace, tmp_path_factory) -> tuple[Path, dict]:
    """A folder with config and checkpoint, and the annotations of the images learnt, as COCO's."""
    folder = tmp_path_factory.mktemp('learnt')
    cfg = Config.fromfile(mmvig.get_config('vig_maskrcnn_mini'))
    init_default_scope('mmdet')
    settings = cfg.val_dataloader.dataset
    settings.data_root = str(workspace / settings.data_root)
    dataset = DATASETS.build(settings)
    batch = pseudo_collate([dataset[i] for i in range(IMAGES)])
    torch.manual_seed(0)
    model = build_model(cfg)
    learn(model, batch)
    meta = {'dataset_meta': dataset.metainfo}
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, folder / 'learnt.pth')
    cfg.dump(folder / 'learnt.py')
    annotations = json.loads(Path(settings.data_root, settings.ann_file).read_text())
    images = {sample.img_id: Path(sample.img_path) for sample in batch['data_samples']}
    annotations['images'] = [x for x in annotations['images'] if x['id'] in images]
    annotations['annotations'] = [x for x in annotations['annotations'] if x['image_id'] in images]
    (folder / 'images').mkdir()
    for path in images.values():
        (folder / 'images' / path.name).symlink_to(path)
    return folder, annotations


def precision(annotations: dict, preds: Path, kind: str) -> float:
    """COCO's AP of the files that `predict` wrote."""
    truth = COCO()
    truth.dataset = annotations
    truth.createIndex()
    found = []
    for image in annotations['images']:
        result = json.loads((preds / f'{Path(image["file_name"]).stem}.json').read_text())
        for label, score, (x1, y1, x2, y2), mask in zip(
            result['labels'], result['scores'], result['bboxes'], result['masks'], strict=True
        ):
            category = annotations['categories'][label]['id']
            instance = {'image_id': image['id'], 'category_id': category, 'score': score}
            box = {'bbox': [x1, y1, x2 - x1, y2 - y1]}
            found.append(instance | (box if kind == 'bbox' else {'segmentation': mask}))
    evaluation = COCOeval(truth, truth.loadRes(found), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[0])


@pytest.fixture(scope='module')
def file(learnt) -> DetectionFile:
    """The form that every runtime has."""
    folder, _ = learnt
    cfg = Config.fromfile(folder / 'learnt.py')
    model = detector(init_detector(cfg, str(folder / 'learnt.pth'), device='cpu'), cfg)
    export(model, folder / 'model.onnx', form='portable', check=False)
    return DetectionFile(model, folder / 'model.onnx', TOLERANCE)


@pytest.mark.parametrize('runtime', [in_onnxruntime, in_openvino])
def test_one_file_equals_torch_at_every_size(file, runtime):
    assert_equal_at_every_size(file, runtime)


def test_the_exported_file_is_as_precise(learnt, file, cli):
    folder, annotations = learnt
    whole, photos = (folder / 'learnt.py', folder / 'learnt.pth'), folder / 'images'
    cli.output('predict', *whole, photos, '--out', folder / 'torch')
    for runtime in RUNTIMES:
        out = ('--out', folder / runtime, '--runtime', runtime, '--threads', 1)
        cli.output('predict', '--model', file.path, photos, *out)
    for kind in ('bbox', 'segm'):
        expected = precision(annotations, folder / 'torch/preds', kind)
        assert 0.2 < expected < 0.95, 'of nothing, or of all that there is, AP cannot differ'
        for runtime in RUNTIMES:
            assert precision(annotations, folder / runtime / 'preds', kind) == pytest.approx(
                expected, abs=0.002
            )
