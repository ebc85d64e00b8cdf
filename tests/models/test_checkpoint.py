"""Official weights: names both ways, reading, and what does not fit."""

import subprocess
import sys
from pathlib import Path
from pickle import UnpicklingError
from urllib.error import URLError

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from mmvig.checkpoint import backbone_weights, from_official, load_pretrained, read, to_official
from mmvig.cli.run import command
from mmvig.models.backbones import MultiScaleViG, PlainViG, ViR
from tests.support import golden
from tests.support.hostile_checkpoints import call_mkdir, reach_mkdir_by_getattr

MULTI_SCALE = ('vig_h_tiny', 'vig_h_small', 'vig_h_base')
PLAIN = ('vig_tiny', 'vig_small', 'vig_base')


@pytest.fixture
def official(tmp_path) -> str:
    """A file of the released form: the classification model's weights under `model`."""
    path = tmp_path / 'vig_h_t_82p8acc.pth'
    torch.save({'model': golden.weights('vig_h_tiny'), 'epoch': 299}, path)
    return str(path)


@pytest.mark.parametrize('model', MULTI_SCALE)
def test_names_go_round(model):
    shapes = golden.official_shapes(model)
    shapes |= {f'outnorm{i}.{kind}': [1] for i in range(4) for kind in ('weight', 'bias')}
    ours = from_official(shapes)
    assert len(ours) == len(shapes)
    assert to_official(ours) == shapes
    heads = {key for key in ours if key.startswith('head.')}
    assert heads == {'head.norm.weight', 'head.norm.bias', 'head.fc.weight', 'head.fc.bias'}
    with torch.device('meta'):
        own = MultiScaleViG(model.removeprefix('vig_h_')).state_dict()
    assert set(ours) - heads == set(own)
    for key in set(ours) - heads:
        if not key.startswith('norm'):
            assert list(own[key].shape) == ours[key], key


@pytest.mark.parametrize('model', PLAIN)
def test_plain_names_go_round(model):
    shapes = golden.official_shapes(model)
    ours = from_official(shapes)
    assert len(ours) == len(shapes)
    assert to_official(ours) == shapes
    with torch.device('meta'):
        own = PlainViG(model.removeprefix('vig_')).state_dict()
    assert set(ours) - set(own) == {'head.fc.weight', 'head.fc.bias'}
    for key, value in own.items():
        assert list(value.shape) == ours[key], key


def test_plain_official_files_are_recognised(tmp_path):
    """By their keys: no option says which kind of model a file holds."""
    path = tmp_path / 'vig_t_77p2acc.pth'
    official = golden.weights('vig_tiny')
    torch.save({'model': official}, path)
    model = PlainViG('tiny', init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    model.init_weights()
    back = to_official(model.state_dict())
    assert all(torch.equal(back[key], official[key]) for key in back)
    assert set(official) - set(back) == {'head.weight', 'head.bias'}

    middle = PlainViG('tiny', out_indices=(3,))
    load_pretrained(middle, str(path))
    assert torch.equal(middle.norm3.weight, torch.ones(192)), 'the file has only the final norm'
    del official['norm.weight']
    torch.save({'model': official}, path)
    with pytest.raises(ValueError, match=r'does not fit PlainViG: missing: norm\.weight'):
        load_pretrained(model, str(path))
    with pytest.raises(ValueError, match='does not fit MultiScaleViG'):
        load_pretrained(MultiScaleViG('tiny'), str(path))


def test_only_vig_has_official_names():
    with pytest.raises(ValueError, match='keys of an mmvig checkpoint, got also cls_token'):
        to_official(ViR('nano').state_dict())


def test_official_backbone_loads_strictly():
    weights = golden.backbone_weights('vig_h_tiny')
    model = MultiScaleViG('tiny')
    model.load_state_dict(from_official(weights))
    assert torch.equal(
        model.stages[2].blocks[4].mixer.gate_up.bias,
        weights['layers.2.blocks.4.op.gk_proj.1.bias'],
    )


def test_unknown_keys_are_named():
    with pytest.raises(ValueError, match=r'official ViG checkpoint, got also layers\.0\.extra'):
        from_official({'layers.0.extra.weight': torch.zeros(1)})
    with pytest.raises(ValueError, match=r'mmvig checkpoint, got also stages\.0\.extra'):
        to_official({'stages.0.extra.weight': torch.zeros(1)})


def test_pretrained_by_init_cfg(official):
    model = MultiScaleViG('tiny', init_cfg=dict(type='Pretrained', checkpoint=official))
    model.init_weights()
    expected = golden.weights('vig_h_tiny')['layers.3.blocks.1.op.o_proj.weight']
    assert torch.equal(model.stages[3].blocks[1].mixer.proj.weight, expected)
    assert torch.equal(model.norm0.weight, torch.ones(96)), 'the file has no output norms'


def test_pretrained_from_our_own_and_from_a_whole_models_file(tmp_path):
    source = MultiScaleViG('nano')
    source.init_weights()
    weights = source.state_dict()
    whole = {f'backbone.{key}': value for key, value in weights.items()}
    whole['roi_head.fc.weight'] = torch.zeros(3)
    files = {'bare': (weights, ''), 'runner': ({'state_dict': whole, 'meta': {}}, 'backbone.')}
    for name, (content, prefix) in files.items():
        path = tmp_path / f'{name}.pth'
        torch.save(content, path)
        model = MultiScaleViG('nano', out_indices=(0, 3))
        load_pretrained(model, str(path), prefix)
        assert torch.equal(
            model.stages[0].blocks[0].mlp.fc1.weight, weights['stages.0.blocks.0.mlp.fc1.weight']
        )


def test_classifier_files_need_no_prefix():
    weights = {'backbone.stem.0.conv.weight': torch.zeros(1), 'head.fc.weight': torch.zeros(1)}
    assert list(backbone_weights({'state_dict': weights})) == ['stem.0.conv.weight']


def test_what_does_not_fit_is_named(tmp_path):
    model = MultiScaleViG('nano')
    weights = model.state_dict()
    del weights['stages.1.blocks.0.mlp.fc1.weight']
    weights['stages.9.blocks.0.mlp.fc1.weight'] = torch.zeros(1)
    weights['stem.0.conv.bias'] = torch.zeros(5)
    path = tmp_path / 'wrong.pth'
    torch.save(weights, path)
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(ValueError, match='does not fit MultiScaleViG') as caught:
        load_pretrained(model, str(path))
    for part in (
        'missing: stages.1.blocks.0.mlp.fc1.weight',
        'unknown: stages.9.blocks.0.mlp.fc1.weight',
        'stem.0.conv.bias (expected [16], got [5])',
    ):
        assert part in str(caught.value)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_another_size_does_not_fit(official):
    model = MultiScaleViG('base', init_cfg=dict(type='Pretrained', checkpoint=official))
    with pytest.raises(ValueError, match=r'expected \[64, 3, 3, 3\], got \[48, 3, 3, 3\]'):
        model.init_weights()


@pytest.mark.parametrize(
    'init_cfg',
    [dict(type='Kaiming'), dict(type='Pretrained', checkpoint='x', strict=True)],
)
def test_other_init_cfg_is_refused(init_cfg):
    with pytest.raises(ValueError, match=r"expected init_cfg=dict\(type='Pretrained'"):
        MultiScaleViG('nano', init_cfg=init_cfg).init_weights()


def test_damaged_files(tmp_path, official):
    with pytest.raises(FileNotFoundError, match='expected a checkpoint file at'):
        read(str(tmp_path / 'absent.pth'))
    whole = Path(official).read_bytes()
    contents = {
        'cut short': whole[: len(whole) // 2],
        'empty': b'',
        'no checkpoint': b'<html>not found</html>',
    }
    for name, content in contents.items():
        path = tmp_path / f'{name}.pth'
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=f'{name}.pth(, it is empty|, it begins with| is damaged)'
        ):
            read(str(path))
    with pytest.raises(ValueError, match='expected a state dict'):
        backbone_weights({'epoch': 3})


@pytest.fixture(params=[call_mkdir, reach_mkdir_by_getattr])
def hostile(request, tmp_path):
    """A file that would make a folder."""
    marker, path = tmp_path / 'ran', tmp_path / 'hostile.pth'
    torch.save({'state_dict': request.param(str(marker))}, path)
    yield str(path)
    assert not marker.exists()


def test_a_file_that_would_run_code_is_refused(hostile):
    with pytest.raises(ValueError, match='is refused.*could run code'):
        read(hostile)


def test_within_a_command_mmengine_refuses_it_too(hostile):
    """A config can name checkpoints that mmvig never sees."""
    with pytest.raises(UnpicklingError):
        command(lambda argv: CheckpointLoader.load_checkpoint(hostile))()


@pytest.mark.parametrize('core', ['numpy.core', 'numpy._core'])
@pytest.mark.filterwarnings('ignore:numpy.core')
def test_what_mmengine_writes_is_read(core, tmp_path, monkeypatch):
    """Of NumPy 1 and 2, whichever is installed: history buffers and metrics."""
    for x in (np.zeros(0), np.float64(0)):
        monkeypatch.setattr(x.__reduce__()[0], '__module__', f'{core}.multiarray')
    path = tmp_path / 'epoch_1.pth'
    losses = HistoryBuffer([2.0, 1.0], [1, 1])
    torch.save({'loss': losses, 'mAP': np.float64(0.5), 'ids': np.arange(2)}, path)
    monkeypatch.undo()
    found = read(str(path))
    assert found['loss'].mean() == 1.5
    assert found['mAP'] == 0.5
    assert found['ids'].tolist() == [0, 1]


def test_without_network_the_error_says_where_to_put_the_file(monkeypatch):
    def offline(*args, **kwargs):
        raise URLError('no route to host')

    monkeypatch.setattr(torch.hub, 'load_state_dict_from_url', offline)
    url = 'https://example.invalid/vig_h_t_82p8acc.pth'
    with pytest.raises(FileNotFoundError) as caught:
        read(url)
    assert 'checkpoints/vig_h_t_82p8acc.pth' in str(caught.value)
    assert '--cfg-options model.backbone.init_cfg.checkpoint=' in str(caught.value)
    assert isinstance(caught.value.__cause__, URLError)


def test_convert_tool(root, tmp_path, official, cli):
    there, back = tmp_path / 'ours.pth', tmp_path / 'back.pth'
    tool = root / 'tools/convert_checkpoint.py'
    subprocess.run([sys.executable, tool, official, there], check=True)
    ours = torch.load(there, weights_only=True)
    assert set(ours) == {'state_dict', 'meta'}
    model = MultiScaleViG('tiny')
    load_pretrained(model, str(there))
    cli.output('convert', there, back, '--to-official')
    weights = torch.load(back, weights_only=True)['model']
    expected = golden.weights('vig_h_tiny')
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[key], expected[key]) for key in expected)

    message = cli.user_error('convert', there, back)
    assert 'expected the keys of an official ViG checkpoint' in message
