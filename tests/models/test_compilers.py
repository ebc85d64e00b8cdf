"""Backbones under torch's compiler and tracer: whole graphs, few of them, and equal numbers."""

import warnings

import pytest
import torch
from torch._dynamo.backends.debugging import aot_eager
from torch._dynamo.testing import CompileCounter
from torch._guards import CompileContext

from tests.support.backbone_cases import CASES

# One stage, or block, of few channels has all the code that a compiler sees.
SMALLEST = {
    'MultiScaleViG': dict(channels=(16,), depths=(1,), heads=(1,), hidden=(16,)),
    'LinGlo': dict(channels=(16,), depths=(2,), heads=(2,), hidden=(16,)),
    'PlainViG': dict(channels=16, depth=1, heads=2, hidden=16, activation=True),
    'ViR': dict(channels=16, depth=1, heads=2),
}


# Graphs and gradients are the same for every compiler. Torch's own is tried on one.
COMPILERS = dict.fromkeys(SMALLEST, 'aot_eager') | {'MultiScaleViG': 'inductor'}


@pytest.mark.slow
@pytest.mark.parametrize('name', SMALLEST)
def test_compiles_as_one_graph(name):
    """Forward and backward; the graph holds the operator whole."""
    model = CASES[name].build(arch=SMALLEST[name], out_indices=(0,))
    image = torch.randn(1, 3, 40, 56)
    weights = [p for p in model.parameters() if p.requires_grad]
    gradients = []
    with torch._inductor.config.patch(compile_threads=1):
        for function in (model, torch.compile(model, backend=COMPILERS[name], fullgraph=True)):
            maps = function(image)
            loss = sum(x.square().mean() for x in maps)
            gradients.append(torch.autograd.grad(loss, weights))
    torch.testing.assert_close(maps, model(image), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-3)


needs_later_torch = pytest.mark.skipif(
    not hasattr(torch.compiler, 'is_exporting'),
    reason='the compiler of torch 2.4 takes no number of a loop as dynamic',
)
FOUR_STAGES = dict(
    channels=(16, 32, 48, 64), depths=(1, 1, 1, 1), heads=(1, 2, 3, 4), hidden=(16, 16, 16, 16)
)
# From the least whose maps at stride 32 have two rows, to those above 20,480 numbers in all maps.
IMAGE_SIZES = [(33, 33), *((33 + 41 * i % 230, 34 + 97 * i % 430) for i in range(1, 20))]


def count_graphs(model, sizes, **options) -> int:
    """The graphs that images of these sizes make; the results are those without a compiler."""
    torch.compiler.reset()
    counter = CompileCounter()
    compiled = torch.compile(model, backend=counter, fullgraph=True, **options)
    with torch.no_grad():
        for size in sizes:
            image = torch.randn(1, 3, *size)
            torch.testing.assert_close(compiled(image), model(image))
    return counter.frame_count


@needs_later_torch
@pytest.mark.slow
@pytest.mark.parametrize('name', SMALLEST)
def test_sizes_do_not_recompile(name):
    """One graph for square images, as the first is one, and one for all others."""
    arch = FOUR_STAGES if name == 'MultiScaleViG' else SMALLEST[name]
    last = len(arch.get('depths', [1])) - 1
    model = CASES[name].build(arch=arch, out_indices=(last,)).eval()
    assert count_graphs(model, IMAGE_SIZES, dynamic=True) <= 2


@needs_later_torch
@pytest.mark.slow
def test_sizes_do_not_recompile_by_default():
    """Without `dynamic=True` torch tries one size first."""
    model = CASES['MultiScaleViG'].build(arch=SMALLEST['MultiScaleViG'], out_indices=(0,)).eval()
    assert count_graphs(model, IMAGE_SIZES) <= 3


@needs_later_torch
@pytest.mark.slow
@pytest.mark.parametrize(('name', 'first', 'most'), [('MultiScaleViG', 0, 2), ('PlainViG', 3, 1)])
def test_sizes_do_not_recompile_in_training(name, first, most):
    """Nor does what autograd adds: here the graphs are traced forward and backward.

    The first image is square, which makes a graph of its own, or it is not.
    """
    model = CASES[name].build(arch=SMALLEST[name], out_indices=(0,))
    torch.compiler.reset()
    graphs = set()

    def backend(graph, inputs):
        graphs.add(CompileContext.current_compile_id())
        return aot_eager(graph, inputs)

    compiled = torch.compile(model, backend=backend, dynamic=True, fullgraph=True)
    weights = [p for p in model.parameters() if p.requires_grad]
    for size in IMAGE_SIZES[first::3]:
        image = torch.randn(1, 3, *size)
        gradients = [
            torch.autograd.grad(sum(x.square().mean() for x in function(image)), weights)
            for function in (compiled, model)
        ]
        torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-3)
    assert len(graphs) <= most


@pytest.mark.parametrize('case', CASES.values(), ids=CASES)
def test_traced_programs_are_saved(case, tmp_path):
    """By `torch.jit.trace`, with gradients enabled; batch and size are free."""
    model = case.build(arch=case.sizes, out_indices=(0,)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', torch.jit.TracerWarning)  # of checks of the image's shape
        traced = torch.jit.trace(model, torch.randn(2, 3, 64, 48), check_trace=False)
    traced.save(tmp_path / 'traced.pt')
    image = torch.randn(3, 3, 40, 70)
    found = torch.jit.load(tmp_path / 'traced.pt')(image)
    torch.testing.assert_close(tuple(found), model(image), atol=1e-5, rtol=1e-4)
