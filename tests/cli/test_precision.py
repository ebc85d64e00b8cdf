"""The options --amp and --dtype on a CPU, of every library."""

import pickle
from logging import WARNING
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

import mmvig.cli.precision
import mmvig.cli.predict
from mmvig.apis.inference import Predictor
from mmvig.checks.errors import UserError
from mmvig.cli.precision import apply_amp, apply_dtype
from tests.support.classification_inputs import make_classification


@pytest.fixture
def inputs(valid_inputs, monkeypatch) -> Path:
    monkeypatch.chdir(valid_inputs)
    if not Path('cls.py').exists():
        make_classification(valid_inputs)
    return valid_inputs


def final_state(folder: Path) -> dict:
    name = Path((folder / 'last_checkpoint').read_text()).name
    return torch.load(folder / name, weights_only=False)


@pytest.mark.parametrize('task', ['det', 'seg', 'cls'])
def test_training(task, inputs, cli, tmp_path, caplog):
    """--amp, and for segmentation a config of GPUs."""
    how = ['--amp', 'bfloat16']
    if task == 'seg':
        how = ['--cfg-options', 'optim_wrapper.type=AmpOptimWrapper', 'optim_wrapper.dtype=float16']
    result = cli.run('train', f'{task}.py', '--work-dir', tmp_path, *how)
    assert result.status == 0, result.err[-3000:]
    told = "takes the place of 'AmpOptimWrapper', which needs a GPU" in result.out + result.err
    assert told == (task == 'seg')
    state = final_state(tmp_path)
    assert {x.dtype for x in state['state_dict'].values() if x.is_floating_point()} == {
        torch.float32
    }
    kept = Config.fromfile(tmp_path / f'{task}.py').optim_wrapper
    assert kept.type == 'mmvig.BFloat16OptimWrapper'
    assert not {'dtype', 'loss_scale'} & set(kept)


def floats(x) -> list:
    """The dtypes of all floating-point numbers in results."""
    if isinstance(x, dict):
        return [dtype for value in x.values() for dtype in floats(value)]
    if isinstance(x, list | tuple):
        return [dtype for value in x for dtype in floats(value)]
    return [x.dtype] if isinstance(x, torch.Tensor) and x.is_floating_point() else []


@pytest.mark.parametrize('task', ['det', 'seg'])
def test_evaluation(task, inputs, cli, tmp_path):
    out = tmp_path / 'results.pkl'
    cli.output(
        'test', f'{task}.py', f'{task}.pth', '--dtype', 'bfloat16', '--out', out,
        '--work-dir', tmp_path,
    )  # fmt: skip
    with out.open('rb') as file:
        results = pickle.load(file)
    assert len(results) == 4
    assert set(floats(results)) == {torch.float32}


@pytest.mark.parametrize('task', ['det', 'seg', 'cls'])
def test_prediction(task, models, valid_inputs, monkeypatch):
    """The model computes in bfloat16, and its results are like those of float32."""
    config, checkpoint = models[task]
    image = valid_inputs / 'data/images/0.jpg'
    results, seen = [], []
    for dtype in ('float32', 'bfloat16'):
        predictor = Predictor(Config.fromfile(config), str(checkpoint), 'cpu')
        apply_dtype(predictor.model, dtype)
        predictor.model.backbone.register_forward_hook(lambda *args: seen.append(args[2][0].dtype))
        results += [x.result for x in predictor.predict([image], draw=False)]
    assert seen == [torch.float32, torch.bfloat16]
    exact, found = results
    if task == 'seg':
        assert (exact == found).mean() > 0.9
    else:
        name = 'scores' if task == 'det' else 'score'
        scores = [np.sort(np.ravel(result[name]))[-5:] for result in results]
        np.testing.assert_allclose(*scores, rtol=0.05, atol=0.01)
        assert not np.array_equal(*scores)


def test_the_option_reaches_the_model(models, valid_inputs, cli, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        mmvig.cli.predict, 'apply_dtype', lambda model, dtype: seen.append((model, dtype))
    )
    command = ['predict', *models['seg'], valid_inputs / 'data/images/0.jpg', '--out', tmp_path]
    cli.output(*command, '--dtype', 'bfloat16')
    assert isinstance(seen[0][0], torch.nn.Module)
    assert seen[0][1] == 'bfloat16'
    error = cli.user_error(*command, '--dtype', 'bfloat16', '--strips', 'always')
    assert 'expected --dtype float32 for images that are predicted by strips' in error


def optimizer(**options) -> Config:
    return Config(dict(optim_wrapper=dict(type='OptimWrapper', **options)))


def test_float16_needs_a_gpu():
    with pytest.raises(UserError, match='expected --amp bfloat16 on a CPU, got float16'):
        apply_amp(optimizer(), 'float16')


def test_without_the_option_the_config_stays(monkeypatch):
    cfg = optimizer(accumulative_counts=2)
    assert apply_amp(cfg, None) == ''
    assert cfg.to_dict() == optimizer(accumulative_counts=2).to_dict()
    monkeypatch.setattr(mmvig.cli.precision, 'get_device', lambda: 'cuda')
    amp = Config(dict(optim_wrapper=dict(type='AmpOptimWrapper', dtype='bfloat16')))
    assert apply_amp(amp, None) == ''
    assert amp.optim_wrapper.type == 'AmpOptimWrapper'


@pytest.mark.parametrize('has_instructions', [True, False])
def test_processors_without_bfloat16_are_told(has_instructions, monkeypatch):
    said = []
    monkeypatch.setattr(mmvig.cli.precision, 'multiplies_bfloat16', lambda: has_instructions)
    monkeypatch.setattr(mmvig.cli.precision, 'print_log', lambda *args, **kw: said.append(kw))
    apply_dtype(torch.nn.Linear(2, 2), 'bfloat16')
    assert [kw['level'] for kw in said] == [WARNING] * (not has_instructions)
    told = 'no instructions for bfloat16' in apply_amp(optimizer(), 'bfloat16')
    assert told != has_instructions
