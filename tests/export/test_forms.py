"""Each form of `bi_gla` in ONNX against the recurrence in float64."""

import importlib

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from mmvig.export.choice import FASTEST_FIRST, choose, runs, single_call
from mmvig.export.forms import FORMS, expand, levels, open_chunks
from mmvig.kernels.reference import bi_gla_reference
from tests.support import op_cases
from tests.support.onnx_graphs import all_nodes
from tests.support.runtimes import openvino_core_or_skip

H, K, V = 2, 5, 7
SCALE = K**-0.5
NAMES = ('q', 'k', 'v', 'g_fwd', 'g_bwd')
TOLERANCE = 1e-6  # of the largest value; measured: 8e-7 with new inputs each time
LEVELS = onnxruntime.GraphOptimizationLevel
# Operators that the forms write; the rest of a model is torch's.
OPERATORS = {
    'standard': {('', 'LinearAttention')},
    'contrib': {('com.microsoft', 'LinearAttention')},
    'portable': set(),
}


def model_of(form, normalizer=None, directions='both') -> bytes:
    model = expand(single_call(H, K, V, SCALE, normalizer, directions), form)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def session(model: bytes, level=LEVELS.ORT_ENABLE_ALL):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])


def arrays(inputs, directions='both') -> dict[str, np.ndarray]:
    absent = {'both': None, 'fwd': 'g_bwd', 'bwd': 'g_fwd'}[directions]
    named = zip(NAMES, inputs, strict=True)
    return {name: x.float().numpy() for name, x in named if name != absent}


def expected(inputs, normalizer=None, directions='both') -> torch.Tensor:
    q, k, v, g_fwd, g_bwd = (x.float().double() for x in inputs)
    g_fwd = None if directions == 'bwd' else g_fwd
    g_bwd = None if directions == 'fwd' else g_bwd
    return bi_gla_reference(q, k, v, g_fwd, g_bwd, SCALE, normalizer)


def assert_close(found: np.ndarray, truth: torch.Tensor) -> None:
    error = (torch.from_numpy(found).double() - truth).abs().max() / truth.abs().max()
    assert error <= TOLERANCE


@pytest.fixture(scope='module')
def sessions():
    """A session for each form and kind of call, made once."""
    made = {}

    def get(*kind):
        if kind not in made:
            made[kind] = session(model_of(*kind))
        return made[kind]

    return get


@pytest.mark.parametrize('T', [1, 2, 7, 8, 9, 31, 32, 33, 1000])
@pytest.mark.parametrize('form', FORMS)
def test_any_number_of_tokens_with_mixed_gates(sessions, form, T):
    inputs = op_cases.inputs(T, K=K, V=V, H=H)
    (found,) = sessions(form).run(None, arrays(inputs))
    assert_close(found, expected(inputs))


@pytest.mark.parametrize('gate', op_cases.GATES)
@pytest.mark.parametrize('form', FORMS)
def test_gates_of_one_value(sessions, form, gate):
    inputs = op_cases.inputs(70, gate, K=K, V=V, H=H)
    (found,) = sessions(form).run(None, arrays(inputs))
    assert_close(found, expected(inputs))


@pytest.mark.parametrize('directions', ['fwd', 'bwd'])
@pytest.mark.parametrize('form', FORMS)
def test_one_direction(sessions, form, directions):
    for T in (1, 33):
        inputs = op_cases.inputs(T, K=K, V=V, H=H)
        (found,) = sessions(form, None, directions).run(None, arrays(inputs, directions))
        assert_close(found, expected(inputs, directions=directions))


@pytest.mark.parametrize('gate', ['mixed', -1e-4, -200.0])
def test_every_level_of_the_portable_form(monkeypatch, gate):
    """Groups are 128 tokens: two of them in a set, and four sets beyond the only level."""
    monkeypatch.setattr(levels, 'FAN', 2)
    monkeypatch.setattr(levels, 'LEVELS', 1)
    run = session(model_of('portable'))
    for T in (127, 129, 257, 1000):
        inputs = op_cases.inputs(T, gate, K=K, V=V, H=H)
        (found,) = run.run(None, arrays(inputs))
        assert_close(found, expected(inputs))


@pytest.mark.parametrize('form', FORMS)
def test_gates_from_logits(sessions, form):
    """Logits from -200 to 200, whose exponential overflows in float32."""
    inputs = op_cases.inputs(100, K=K, V=V, H=H)
    rng = torch.Generator().manual_seed(0)
    scale = torch.tensor([1.0, 10.0, 60.0], dtype=torch.float64)
    for i in (3, 4):
        size = scale[torch.randint(3, inputs[i].shape, generator=rng)]
        inputs[i] = (size * torch.randn(inputs[i].shape, generator=rng)).clamp(-200, 200)
    (found,) = sessions(form, 16.0).run(None, arrays(inputs))
    assert_close(found, expected(inputs, 16.0))


@pytest.mark.parametrize('level', ['ORT_DISABLE_ALL', 'ORT_ENABLE_BASIC', 'ORT_ENABLE_EXTENDED'])
@pytest.mark.parametrize('form', FORMS)
def test_graph_optimizations_change_nothing(form, level):
    inputs = op_cases.inputs(50, K=K, V=V, H=H)
    (found,) = session(model_of(form), getattr(LEVELS, level)).run(None, arrays(inputs))
    assert_close(found, expected(inputs))


@pytest.mark.parametrize(('normalizer', 'directions'), [(16.0, 'both'), (None, 'fwd')])
def test_openvino_runs_the_portable_form(normalizer, directions):
    core = openvino_core_or_skip()
    options = {'INFERENCE_PRECISION_HINT': 'f32'}
    model = core.compile_model(
        core.read_model(model_of('portable', normalizer, directions)), 'CPU', options
    )
    torch.manual_seed(0)
    for T in (1, 2, 33, 1000, 31, 70):
        for shift in (0, 3):  # pairs of tokens, and open chunks, in turns
            inputs = op_cases.inputs(T, K=K, V=V, H=H)
            if shift and normalizer:
                inputs[3:] = [torch.randn_like(x) + shift for x in inputs[3:]]
            elif shift:
                inputs[3:] = [x.clamp(min=-0.1) for x in inputs[3:]]
            found = model(arrays(inputs, directions))[0]
            assert_close(found, expected(inputs, normalizer, directions))


@pytest.mark.parametrize('form', FORMS)
def test_only_operators_of_the_named_sets(form):
    model = onnx.load_from_string(model_of(form, 16.0))
    assert not model.functions
    opsets = {item.domain: item.version for item in model.opset_import}
    assert opsets == {'': FORMS[form].opset, **FORMS[form].domains}
    found = {(node.domain, node.op_type) for node in all_nodes(model.graph)}
    assert OPERATORS[form] <= found
    for domain, operator in found - OPERATORS[form]:
        assert domain == ''
        # Older than 2023: what every runtime reads.
        assert onnx.defs.get_schema(operator, max_inclusive_version=18).since_version <= 18


@pytest.fixture
def without(monkeypatch):
    """Takes one of the two ways of the portable form, 'by_products' or 'by_pairs', out of it."""
    module = importlib.import_module('mmvig.export.forms.portable')

    def remove(way):
        monkeypatch.setattr(module, way, lambda nodes, call, *_: nodes.Mul(call.v, nodes.floats(0)))

    return remove


@pytest.mark.parametrize('fan', [2, levels.FAN])
@pytest.mark.parametrize(('normalizer', 'directions'), [(None, 'both'), (16.0, 'both'),
                                                        (16.0, 'fwd'), (None, 'bwd')])  # fmt: skip
def test_open_chunks(without, monkeypatch, normalizer, directions, fan):
    """Numbers of chunks on all levels of states; a fan of 2 makes do with fewer tokens."""
    without('by_pairs')
    monkeypatch.setattr(levels, 'FAN', fan)
    run = session(model_of('portable', normalizer, directions))
    torch.manual_seed(0)
    for T in (1, 7, 8, 9, 255, 256, 257, 1000, 2100):
        inputs = op_cases.inputs(T, K=K, V=V, H=H)
        for i in (3, 4):
            inputs[i] = torch.randn(inputs[i].shape, dtype=torch.float64) + 2
            if normalizer is None:
                inputs[i] = torch.nn.functional.logsigmoid(inputs[i]) / 16
        (found,) = run.run(None, arrays(inputs, directions))
        assert_close(found, expected(inputs, normalizer, directions))


@pytest.mark.parametrize(('way', 'share'), [('by_pairs', 0.999), ('by_products', 1.001)])
def test_what_the_gates_of_a_chunk_sum_to_decides(without, way, share):
    """Just below the largest sum, chunks are as exact as pairs; just above, pairs are taken."""
    without(way)
    gate = -share * open_chunks.LARGEST_SUM / open_chunks.CHUNK
    tokens = open_chunks.CHUNK * open_chunks.CHUNKS  # fewer are in shorter chunks
    inputs = op_cases.inputs(tokens, gate, K=K, V=V, H=H)
    (found,) = session(model_of('portable')).run(None, arrays(inputs))
    assert_close(found, expected(inputs))


def test_one_strong_gate_is_enough_for_pairs(without):
    without('by_products')
    inputs = op_cases.inputs(100, -1e-4, K=K, V=V, H=H)
    inputs[4][1, 70, 0, 3] = -1000
    (found,) = session(model_of('portable')).run(None, arrays(inputs))
    assert_close(found, expected(inputs))


def test_a_strong_gate_of_the_last_token_is_not_that_of_a_chunk(without):
    """Of 272 tokens in chunks of 17, twelve fill up."""
    without('by_pairs')
    inputs = op_cases.inputs(260, -1e-4, K=K, V=V, H=H)
    for i in (3, 4):
        inputs[i][:, -1] = -open_chunks.LARGEST_SUM / 10
    (found,) = session(model_of('portable')).run(None, arrays(inputs))
    assert_close(found, expected(inputs))


def test_a_token_does_not_depend_on_what_fills_the_last_chunk(sessions):
    """With gates of -1e-4 everything is remembered, also what is no token."""
    inputs = op_cases.inputs(9, -1e-4, K=K, V=V, H=H)
    longer = [torch.cat([x, torch.zeros_like(x[:, :7])], dim=1) for x in inputs]
    (found,) = sessions('portable').run(None, arrays(inputs))
    (padded,) = sessions('portable').run(None, arrays(longer))
    assert_close(padded[:, :9], torch.from_numpy(found).double())


def test_the_default_is_the_fastest_that_runs(monkeypatch):
    call = single_call()
    assert choose(call, None).form == FASTEST_FIRST[0]
    assert onnxruntime.__version__ in choose(call, None).reason
    assert choose(call, 'standard').form == 'standard'
    monkeypatch.setattr('mmvig.export.choice.runs', lambda form: form != 'contrib')
    assert choose(call, None).form == 'portable'


def test_a_form_that_does_not_run_is_noticed(monkeypatch):
    runs.cache_clear()
    broken = FORMS['contrib']._replace(
        write=lambda nodes, call: nodes.Nothing(call.q, domain='com.microsoft')
    )
    monkeypatch.setitem(FORMS, 'contrib', broken)
    assert not runs('contrib')
    runs.cache_clear()
