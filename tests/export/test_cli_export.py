"""`python -m mmvig export`, and what it says to wrong input."""

import onnx
import pytest
import torch

from mmvig.deploy.manifest import KEY, Manifest
from tests.support.exports import META, segmentation_config, segmentation_model


@pytest.fixture(scope='module')
def inputs(tmp_path_factory):
    """A config and a checkpoint of its model."""
    folder = tmp_path_factory.mktemp('inputs')
    cfg = segmentation_config(stages=1)
    model = segmentation_model(cfg)
    cfg.dump(folder / 'seg.py')
    torch.save(
        {'state_dict': model.state_dict(), 'meta': {'dataset_meta': META}}, folder / 'seg.pth'
    )
    return folder


@pytest.mark.slow
def test_a_segmentor_is_exported_and_said(cli, inputs, tmp_path):
    out = tmp_path / 'new' / 'model.onnx'
    said = cli.output('export', inputs / 'seg.py', inputs / 'seg.pth', '--out', out)
    assert f'{out}: ' in said
    assert 'linear attention: contrib, the fastest that onnxruntime' in said
    assert 'checked against torch at 65×97, 128×160, 224×320: largest error' in said
    model = onnx.load(out)
    (entry,) = (item.value for item in model.metadata_props if item.key == KEY)
    manifest = Manifest.from_json(entry)
    assert manifest.classes == tuple(META['classes'])
    assert manifest.config == 'seg'
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize('out', ['model.pth', '.', 'model'])
def test_the_file_has_the_suffix_of_onnx(cli, inputs, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    message = cli.user_error('export', inputs / 'seg.py', inputs / 'seg.pth', '--out', out)
    assert message == f'expected --out to be a file with the suffix .onnx, got {out}'


def test_a_pipeline_that_no_file_can_tell_is_named(cli, inputs, tmp_path):
    changed = tmp_path / 'changed.py'
    changed.write_text(
        f'_base_ = {str(inputs / "seg.py")!r}\n'
        "pipeline = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs'),\n"
        "            dict(type='CLAHE')]\n"
        'test_dataloader = dict(dataset=dict(pipeline=pipeline))\n'
    )
    message = cli.user_error(
        'export', changed, inputs / 'seg.pth', '--out', tmp_path / 'model.onnx'
    )
    assert 'in the test pipeline, got CLAHE' in message
    assert not (tmp_path / 'model.onnx').exists()
