"""Programs of torch: equal numbers at every size, also where there are no MM libraries."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mmvig.export.torch_program import (
    compile_package,
    export_program,
    load_package,
    load_program,
    save_program,
)
from mmvig.models.backbones import MultiScaleViG
from tests.support.backbone_cases import CASES

SIZES = [(1, 3, 33, 33), (3, 3, 37, 53), (1, 3, 224, 160), (2, 3, 64, 301)]


def assert_equal(found, module: nn.Module, size: tuple[int, ...]) -> None:
    image = torch.randn(size)
    with torch.no_grad():
        for x, y in zip(found(image), module(image), strict=True):
            torch.testing.assert_close(x, y, atol=1e-6, rtol=1e-5)


def tiny(stages: int = 2) -> MultiScaleViG:
    """One stage or two, of few channels."""
    arch = dict(channels=(16, 32), depths=(1, 1), heads=(1, 2), hidden=(32, 32))
    torch.manual_seed(0)
    arch = {name: sizes[:stages] for name, sizes in arch.items()}
    return MultiScaleViG(arch, out_indices=tuple(range(stages))).eval()


@pytest.fixture(scope='module')
def program_file(tmp_path_factory) -> Path:
    """The program of `tiny`."""
    path = tmp_path_factory.mktemp('programs') / 'tiny.pt2'
    save_program(export_program(tiny()), path)
    return path


@pytest.mark.slow
def test_one_program_serves_all_sizes(program_file):
    program = load_program(program_file)
    for size in SIZES:
        assert_equal(program, tiny(), size)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['LinGlo', 'PlainViG', 'ViR-bidirectional'])
def test_every_backbone(name, tmp_path):
    case = CASES[name]
    model = case.build(arch=case.sizes, out_indices=(0,)).eval()
    save_program(export_program(model), tmp_path / 'model.pt2')
    program = load_program(tmp_path / 'model.pt2')
    for size in SIZES[:2]:
        assert_equal(program, model, size)


@pytest.mark.slow
def test_a_whole_segmentor(small_segmentor, tmp_path):
    model, _ = small_segmentor
    exported = export_program(model.module, model.examples, model.dynamic_shapes)
    save_program(exported, tmp_path / 'model.pt2')
    program = load_program(tmp_path / 'model.pt2')
    for size in SIZES[:2]:
        assert_equal(program, model.module, size)


@pytest.mark.slow
def test_images_that_are_too_small_are_refused(program_file):
    with pytest.raises(AssertionError, match=r'Guard failed: .*size\(\)\[2\] >= 9'):
        load_program(program_file)(torch.randn(1, 3, 8, 300))


ELSEWHERE = """
import json, sys, torch

path = sys.argv[1]
try:
    torch.export.load(path)
except RuntimeError as error:
    print(error, file=sys.stderr)
from mmvig.export.torch_program import load_program
maps = load_program(path)(torch.ones(1, 3, 40, 56))
print(json.dumps([[x.double().abs().sum().item() for x in maps], 'mmengine' in sys.modules]))
"""


@pytest.mark.slow
def test_another_process_needs_the_operator_and_no_more(program_file):
    """By torch alone the operator is unknown, which it says; with `load_program` it is known."""
    done = subprocess.run(
        [sys.executable, '-c', ELSEWHERE, program_file], capture_output=True, text=True, check=True
    )
    assert 'failed to resolve torch.ops.mmvig.bi_gla_' in done.stderr
    assert 'Please import the custom op' in done.stderr
    sums, with_mmengine = json.loads(done.stdout)
    with torch.no_grad():
        expected = [x.double().abs().sum().item() for x in tiny()(torch.ones(1, 3, 40, 56))]
    assert sums == pytest.approx(expected, rel=1e-6)
    assert not with_mmengine


@pytest.mark.parametrize('load', [load_program, load_package])
def test_other_files_are_refused(load, tmp_path):
    with pytest.raises(FileNotFoundError, match='a .pt2 file, and there is no .*none.pt2'):
        load(tmp_path / 'none.pt2')
    (tmp_path / 'text.pt2').write_text('no program')
    with pytest.raises(RuntimeError, match=r'torch .* cannot read .*text.pt2 as a'):
        load(tmp_path / 'text.pt2')


def test_what_torch_cannot_trace_is_said():
    class Branching(nn.Module):
        def forward(self, image):
            return (image if image.sum() > 0 else -image,)

    with pytest.raises(RuntimeError, match=r'torch .* cannot trace this model: .*data-dependent'):
        export_program(Branching())


PACKAGED = """
import sys, torch

path, images, maps = sys.argv[1:]
try:
    torch._inductor.aoti_load_package(path)
except RuntimeError as error:
    print(error, file=sys.stderr)
from mmvig.export.torch_program import load_package
package = load_package(path)
torch.save([package(image) for image in torch.load(images)], maps)
"""


# What is compiled once needs no headers in advance.
QUICKLY = {
    'aot_inductor.compile_wrapper_opt_level': 'O0',
    'aot_inductor.precompile_headers': False,
    'cpp_cache_precompile_headers': False,
}


@pytest.mark.slow
def test_a_compiled_package_runs_in_another_process(tmp_path):
    """By torch alone the operator is unknown; `load_package` imports it."""
    with torch._inductor.config.patch(QUICKLY):
        compile_package(export_program(tiny(stages=1)), tmp_path / 'package.pt2')
    images = [torch.randn(size) for size in SIZES]
    torch.save(images, tmp_path / 'images.pth')
    paths = [tmp_path / name for name in ('package.pt2', 'images.pth', 'maps.pth')]
    done = subprocess.run(
        [sys.executable, '-c', PACKAGED, *paths], capture_output=True, text=True, check=True
    )
    assert 'Could not find schema for mmvig::bi_gla_' in done.stderr
    for image, maps in zip(images, torch.load(paths[-1]), strict=True):
        with torch.no_grad():
            torch.testing.assert_close(maps, list(tiny(stages=1)(image)), atol=1e-5, rtol=1e-5)
