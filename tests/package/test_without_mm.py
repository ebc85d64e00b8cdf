"""The backbones where there is torch, triton, numpy, timm, torchvision and pytest, and no more."""

from importlib import metadata
from importlib.util import find_spec

import pytest
import torch
from mmcv.cnn.bricks import DropPath as MmcvDropPath
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModule

from benchmarks.gpu_day import plan
from mmvig.models.backbones import MultiScaleViG, PlainViG
from mmvig.models.layers.drop_path import DropPath
from mmvig.optional import import_or_none
from mmvig.registry import MODELS
from tests.support.commands import ROOT
from tests.support.environments import environment_with, required

PACKAGES = ['torch', 'triton', 'numpy', 'torchvision', 'pytest']
PACKAGES += ['setuptools']  # which Triton 3.0 imports without asking for it
PACKAGES += ['timm'] if find_spec('timm') else []
OTHERS = ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'hypothesis', 'cv2', 'matplotlib')


@pytest.fixture(scope='module')
def without_mm(tmp_path_factory):
    """`without_mm(code)`: what the code prints where there are these packages and a checkout."""
    environment = environment_with(tmp_path_factory.mktemp('few') / 'venv', *PACKAGES)
    environment.add_path(ROOT)
    return lambda code: environment.run('-c', code, cwd=ROOT, OMP_NUM_THREADS='1').stdout


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory):
    """Weights of ViG nano, as a runner of mmengine keeps them, and an image with its maps."""
    folder = tmp_path_factory.mktemp('weights')
    torch.manual_seed(0)
    model = MultiScaleViG('nano').eval()
    model.init_weights()
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = model(image)
    weights = {f'backbone.{key}': value for key, value in model.state_dict().items()}
    hub = {'log_scalars': {'train/loss': HistoryBuffer([2.0, 1.0], [1, 1])}}
    torch.save({'state_dict': weights, 'message_hub': hub}, folder / 'epoch_1.pth')
    torch.save([image, *maps], folder / 'maps.pth')
    return folder


@pytest.mark.slow
def test_there_is_no_more(without_mm):
    out = without_mm(f"""
from importlib import metadata, util
print([name for name in {OTHERS!r} if util.find_spec(name)])
print(*sorted(x.name.lower() for x in metadata.distributions()))
""")
    others, found = out.splitlines()
    assert others == '[]'
    names = {metadata.distribution(name).name.lower() for name in required(PACKAGES)}
    assert set(found.split()) - {'mmvig'} == names  # a checkout may be installed


@pytest.mark.slow
def test_all_backbones_run_with_gradients(without_mm):
    out = without_mm("""
import torch
from mmvig.models.backbones import LinGlo, MultiScaleViG, PlainViG, ViR
from mmvig.models.necks import SimpleFeaturePyramid
for cls in (MultiScaleViG, PlainViG, ViR, LinGlo):
    model = cls('nano', drop_path_rate=0.1).train()
    model.init_weights()
    maps = model(torch.randn(2, 3, 64, 64))
    sum(x.mean() for x in maps).backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    print(cls.__name__, cls.__mro__[-2].__name__, missing, [x.shape[1] for x in maps])
print(len(SimpleFeaturePyramid([192], 32)((torch.randn(1, 192, 4, 4),))))
""")
    *lines, pyramid = out.splitlines()
    assert [line.split()[0] for line in lines] == ['MultiScaleViG', 'PlainViG', 'ViR', 'LinGlo']
    # Maps of an autoregressive ViR do not read its class token, which comes last.
    assert ['Module []' in line for line in lines] == [True, True, False, True]
    assert "Module ['cls_token']" in lines[2]
    assert 'MultiScaleViG Module [] [32, 64, 128, 256]' in out
    assert pyramid == '5'


@pytest.mark.slow
def test_a_runner_s_checkpoint_gives_the_same_maps(without_mm, checkpoints):
    out = without_mm(f"""
import torch
from benchmarks.gpu_day import plan
from mmvig.models.backbones import MultiScaleViG
source = {str(checkpoints / 'epoch_1.pth')!r}
model = MultiScaleViG('nano', init_cfg=dict(type='Pretrained', checkpoint=source)).eval()
model.init_weights()
image, *maps = torch.load({str(checkpoints / 'maps.pth')!r})
with torch.no_grad():
    print(*(float((x - y).abs().max()) for x, y in zip(model(image), maps)))
""")
    assert [float(x) for x in out.split()] == [0, 0, 0, 0]


@pytest.mark.slow
def test_every_step_for_a_gpu_imports(without_mm):
    """But for those that say what they need."""
    modules = {step.arguments[0] for step in plan.STEPS if not step.needs}
    out = without_mm(f"""
from importlib import import_module
print(*(hasattr(import_module(name), 'main') for name in {sorted(modules)}))
import tools.gpu_day
from benchmarks.models import BUILDERS
print([name for name in ('vig-tiny', 'swin-t', 'swin-t-torchvision') if BUILDERS[name]()])
""")
    found, models = out.splitlines()
    assert set(found.split()) == {'True'}
    assert models == "['vig-tiny', 'swin-t-torchvision']"


@pytest.mark.slow
def test_the_operator_s_suite_runs(without_mm):
    """Collected whole, and started as in a rehearsal of the steps for a GPU."""
    suite = next(step for step in plan.STEPS if step.name == 'suite')
    out = without_mm(f"""
import pytest
arguments = ['-q', '-p', 'no:cacheprovider', '--collect-only', 'tests/kernels']
print('statuses:', int(pytest.main(arguments)), int(pytest.main({[*suite.rehearsal[1:]]!r})))
""")
    assert 'statuses: 0 0' in out, out[-3000:]
    assert ' passed' in out


def test_with_mm_they_are_modules_of_mmengine():
    assert issubclass(PlainViG, BaseModule)
    assert MODELS.get('mmvig.PlainViG') is PlainViG


def test_a_broken_package_is_not_a_missing_one(tmp_path, monkeypatch):
    (tmp_path / 'broken_package.py').write_text('import a_package_that_is_missing')
    monkeypatch.syspath_prepend(str(tmp_path))
    assert import_or_none('a_package_that_is_missing.part') is None
    with pytest.raises(ModuleNotFoundError, match='a_package_that_is_missing'):
        import_or_none('broken_package')


@pytest.mark.parametrize('shape', [(64, 3), (64, 2, 5, 3)])
def test_drop_path_drops_as_mmcv_s(shape):
    x = torch.randn(shape)
    outputs = []
    for cls in (MmcvDropPath, DropPath):
        torch.manual_seed(1)
        outputs.append(cls(0.3).train()(x))
    torch.testing.assert_close(outputs[1], outputs[0], atol=0, rtol=0)
    dropped = (outputs[1].flatten(1) == 0).all(1)
    assert 0 < dropped.sum() < len(x)
    assert DropPath(0.3).eval()(x) is x
