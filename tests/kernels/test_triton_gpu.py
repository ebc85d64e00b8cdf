"""The Triton kernels on a GPU, at the shapes that occur: numbers, repeatability, compilations.

Truth is the chunk form in float64, and the budget comes from the chunk form at the dtype in
question: a token loop would need up to 262,144 steps.
"""

import random

import pytest
import torch

from mmvig.kernels import bi_gla
from mmvig.kernels import triton as triton_backend
from mmvig.kernels.shapes import LENGTHS, SHAPES, Shape
from tests.support.op_budgets import TENSOR_CORES, assert_within_rounding_bounds
from tests.support.op_calls import PLAIN, Case, Layout, Parts

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason='needs a GPU: these shapes take hours in the interpreter'
)

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SMALL = Shape(2, 1050, 24, 16, 32)
LAYOUTS = {
    'channels first': Layout(order=(0, 2, 3, 1)),
    'every other token': Layout(steps=(1, 2, 1, 1)),
    'every other channel': Layout(steps=(1, 1, 1, 2)),
    'heads before tokens': Layout(order=(0, 2, 1, 3)),
}


def make_case(
    shape: Shape,
    dtype: torch.dtype,
    directions: str = 'both',
    gates: str | float = 'usual',
    layout: Layout = PLAIN,
    gate_layout: Layout | None = None,
) -> Case:
    """A call as the mixer makes it: gates from logits, all tensors in one dtype."""
    gate_names = {'both': ('g_fwd', 'g_bwd'), 'fwd': ('g_fwd',), 'bwd': ('g_bwd',)}[directions]
    names = ('q', 'k', 'v', *gate_names, 'do')
    return Case(
        sizes=shape._asdict(),
        directions=directions,
        dtypes=dict.fromkeys(names, dtype),
        layouts=dict.fromkeys(names, layout) | dict.fromkeys(gate_names, gate_layout or layout),
        gates=dict.fromkeys(gate_names, gates),
        magnitudes=dict(q=0, k=0, v=0, do=0),
        gate_normalizer=16.0,
        scale=None,
        seed=0,
    )


def check(case: Case, parts: Parts | None = None) -> None:
    exact = case.dtypes['q'] == torch.float32
    error = assert_within_rounding_bounds(
        case, 'triton', 0.0 if exact else TENSOR_CORES, 'cuda', plain='chunked', parts=parts
    )
    assert error is not None, 'the result should fit its dtype'


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('name', SHAPES)
def test_shapes_of_the_models(name, dtype, poisoned):
    check(make_case(SHAPES[name], dtype))


@pytest.mark.parametrize('T', LENGTHS)
def test_lengths_up_to_262144(T, poisoned):
    check(make_case(Shape(1, T, 3, 16, 32), torch.bfloat16))


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('directions', ['fwd', 'bwd'])
def test_one_direction(directions, dtype, poisoned):
    check(make_case(SMALL, dtype, directions))


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('gates', ['open', 'small', 'large', 'closed', 'mixed'])
def test_logits_of_any_size(gates, dtype, poisoned):
    check(make_case(SMALL, dtype, gates=gates))


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('gate', [-1e-4, -1.0, -30.0, -200.0])
def test_gates(gate, dtype, poisoned):
    check(make_case(SMALL, dtype, gates=gate)._replace(gate_normalizer=None))


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_one_gate_per_head(dtype, poisoned):
    """Broadcast gates, as in retention."""
    case = make_case(SMALL, dtype, gate_layout=Layout(repeated=(0, 1, 3)))
    check(case._replace(gate_normalizer=None))


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('layout', LAYOUTS)
def test_strides(layout, dtype, poisoned):
    check(make_case(SMALL, dtype, layout=LAYOUTS[layout]))


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('directions', ['both', 'fwd', 'bwd'])
def test_parts_with_states(directions, dtype, poisoned):
    """Strips of an image of other lengths, one of a single token among them."""
    case = make_case(Shape(1, 16_800, 6, 16, 32), dtype, directions)
    check(case, Parts((1, 2, 4096, 9000, 16_799), dict.fromkeys(case.gates, PLAIN), seed=1))


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_runs_are_equal_to_the_bit(dtype):
    tensors = make_case(SHAPES['coco-800x1344-stage2'], dtype).tensors('cuda')
    do = tensors.pop('do')
    leaves = [x.requires_grad_() for x in tensors.values()]
    runs = []
    for _ in range(3):
        out = bi_gla(*leaves, gate_normalizer=16.0, backend='triton')
        runs.append([out.detach(), *torch.autograd.grad(out, leaves, do)])
    for repeated in runs[1:]:
        torch.testing.assert_close(repeated, runs[0], atol=0, rtol=0)


def test_auto_chooses_triton(monkeypatch):
    compiled = count_compilations(monkeypatch)
    tensors = make_case(SMALL, torch.bfloat16).tensors('cuda')
    tensors.pop('do')
    bi_gla(*tensors.values(), gate_normalizer=16.0)
    assert compiled


def count_compilations(monkeypatch) -> set:
    """The set that collects each compiled kernel that is launched from here on."""
    compiled = set()

    class Recorder:
        def __init__(self, kernel) -> None:
            self.kernel = kernel

        def __getitem__(self, grid):
            return lambda **arguments: compiled.add(self.kernel[grid](**arguments))

    for name in [name for name in vars(triton_backend) if name.startswith('bi_gla_kernel_')]:
        monkeypatch.setattr(triton_backend, name, Recorder(getattr(triton_backend, name)))
    return compiled


def test_fifty_lengths_share_one_compilation(monkeypatch):
    """State and scan of keys and of queries, output, gradients: six kernels for all T, B and H."""
    compiled = count_compilations(monkeypatch)
    rng = random.Random(0)
    lengths = [1, 2, 16, 64, 70_000, *rng.sample(range(3, 20_000), 45)]
    for i, T in enumerate(lengths):
        case = make_case(Shape(1 + i % 3, T, (1, 3, 6, 12)[i % 4], 16, 32), torch.bfloat16)
        tensors = case.tensors('cuda')
        do = tensors.pop('do')
        leaves = [x.requires_grad_() for x in tensors.values()]
        out = bi_gla(*leaves, gate_normalizer=16.0, backend='triton')
        torch.autograd.grad(out, leaves, do)
    assert len(compiled) == 6
