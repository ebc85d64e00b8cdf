"""The local page predicts huge images by strips."""

import copy
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmvig.apis.huge_images import choice
from mmvig.apis.inference import Predictor

from .rasters import damage


@pytest.fixture(scope='module')
def page(valid_inputs):
    """The module of the page, and predictors of segmentation and detection."""
    here = valid_inputs
    module = pytest.importorskip('mmvig.webui.predict')
    predictors = [
        Predictor(Config.fromfile(here / f'{name}.py'), str(here / f'{name}.pth'), 'cpu')
        for name in ('seg', 'det')
    ]
    return module, *predictors


def resizing(predictor: Predictor) -> Predictor:
    """The same, with a test pipeline that does not mean strips."""
    found = copy.copy(predictor)
    found.cfg = copy.deepcopy(predictor.cfg)
    pipeline = found.cfg.test_dataloader.dataset.pipeline
    pipeline[1] = dict(type='Resize', scale=(40, 40), keep_ratio=True)
    return found


def test_the_page_predicts_by_strips(page, image, on_disk, monkeypatch):
    """Above the size; its temporary files are gone, and the inside is not drawn."""
    module, segmentation, _ = page
    in_memory = module.predict_upload(segmentation, str(image), 0.3, inspect=False)
    monkeypatch.setattr(choice, 'MOST_IN_MEMORY', 100)
    monkeypatch.setattr(module, 'MOST_IN_MEMORY', 100)
    monkeypatch.setattr('tempfile.tempdir', str(Path('temp').absolute()))
    Path('temp').mkdir()
    answer = module.predict_upload(segmentation, str(image), 0.3, inspect=True)
    np.testing.assert_array_equal(answer.picture, in_memory.picture)
    assert answer.text.splitlines()[0] == in_memory.text.splitlines()[0]
    assert answer.text.endswith('The inside is drawn of smaller images only.')
    assert not answer.figures
    assert not list(Path('temp').iterdir())
    damage(image)
    message = module.predict_upload(segmentation, str(image), 0.3, inspect=False).text
    assert 'image.tif' in message
    assert str(Path.cwd()) not in message


def test_the_page_takes_larger_images_where_strips_do(page, image, monkeypatch):
    module, segmentation, detection = page
    monkeypatch.setattr(module, 'MAX_MEGAPIXELS', 0.002)
    monkeypatch.setattr(choice, 'MOST_IN_MEMORY', 100)
    assert module.predict_upload(segmentation, str(image), 0.3, False).picture is not None
    assert module.predict_upload(detection, str(image), 0.3, False).picture is not None
    refused = module.predict_upload(resizing(detection), str(image), 0.3, False).text
    assert refused.startswith('Expected at most 0.002 megapixels, image.tif has 47×61')
    monkeypatch.setattr(module, 'MAX_STRIP_MEGAPIXELS', 0.0025)
    refused = module.predict_upload(segmentation, str(image), 0.3, False).text
    assert refused.startswith('Expected at most 0.0025 megapixels')
