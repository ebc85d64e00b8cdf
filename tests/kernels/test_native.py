"""The native backend: what differs from the others, and where it cannot run."""

import ctypes
import platform
import subprocess
import sys

import pytest
import torch

from mmvig.kernels import bi_gla, native
from mmvig.kernels.api import BACKENDS
from mmvig.kernels.native import build
from tests.support.op_budgets import assert_within_twice_the_loop
from tests.support.op_cases import inputs, run
from tests.support.op_states import in_parts, states_for

NATIVE = BACKENDS['native']


# The widths that the compiler knows, and others that fill no register.
WIDTHS = ((16, 32), (32, 64), (1, 1), (15, 17), (40, 16), (64, 48))


@pytest.mark.parametrize(('K', 'V'), WIDTHS)
@pytest.mark.parametrize('directions', ['both', 'fwd', 'bwd'])
def test_widths(K, V, directions, poisoned):
    assert_within_twice_the_loop(NATIVE, inputs(75, K=K, V=V, dtype=torch.float32), directions)
    args = inputs(75, K=K, V=V)
    expected = run(BACKENDS['reference'], args, directions)
    for x, true in zip(run(NATIVE, args, directions), expected, strict=True):
        torch.testing.assert_close(x, true, atol=1e-12 * max(1, true.abs().max()), rtol=0)


@pytest.mark.parametrize(('K', 'V'), WIDTHS)
def test_widths_of_states(K, V, poisoned):
    """Each task has sixteen columns of a state, the last one of a head perhaps fewer."""
    args = inputs(50, K=K, V=V)
    states = states_for(*args)
    expected = in_parts(*args, cuts=(), initial=states, backend='reference')
    found = in_parts(*args, cuts=(1, 20), initial=states, backend='native')
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize('directions', ['both', 'fwd'])
def test_bfloat16_is_rounded_once(directions, poisoned):
    """Output and gradients are those of float32 on the same numbers, rounded to the nearest."""
    args = [x.bfloat16() for x in inputs(300, H=3, K=16, V=40, dtype=torch.float32)]
    do = torch.randn(args[2].shape).bfloat16()
    found = run(NATIVE, args, directions, do)
    expected = run(NATIVE, [x.float() for x in args], directions, do)
    for x, y in zip(found, expected, strict=True):
        torch.testing.assert_close(x, y.bfloat16(), atol=0, rtol=0)


def test_bfloat16_is_not_converted_as_a_whole(monkeypatch):
    """No tensor that the library gets is a copy; but gates in bfloat16 are logits of decays."""
    q, k, v, g_fwd, g_bwd = (x.bfloat16() for x in inputs(50, dtype=torch.float32))
    seen = []
    monkeypatch.setattr(native, '_run', lambda inputs, *args, **kwargs: seen.extend(inputs))
    native.native_forward(q, k, v, g_fwd, g_bwd, 1.0)
    assert all(x is y for x, y in zip(seen, (q, k, v), strict=False))
    assert [x.dtype for x in seen[3:]] == [torch.float32] * 2


@pytest.mark.parametrize('value', [float('inf'), float('nan'), 3.3895e38, 1e-40])
def test_bfloat16_at_the_ends_of_its_range(value):
    """Infinity, what is no number, the largest number and those below the smallest normal one."""
    q, k, v, g, _ = (x.bfloat16() for x in inputs(1, dtype=torch.float32, B=1, H=1, K=1, V=1))
    v = torch.full_like(v, value)
    found = bi_gla(torch.ones_like(q), torch.ones_like(k), v, g, None, scale=1.0, backend='native')
    torch.testing.assert_close(found, v, atol=0, rtol=0, equal_nan=True)


def test_what_is_no_number_stays_so_in_bfloat16():
    """Also one whose digits would be rounded up to a zero."""
    q, k, v, g, _ = (x.bfloat16() for x in inputs(1, dtype=torch.float32, B=1, H=1, K=1, V=1))
    state = torch.tensor([0x7FFFFFFF], dtype=torch.int32).view(torch.float32).view(1, 1, 1, 1)
    found = bi_gla(q, k, v, g, None, initial_states=(state, None), backend='native')
    assert found.isnan().all()


def _on_threads(threads: int, function, *args):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        return function(*args)
    finally:
        torch.set_num_threads(before)


# No token before another one; within and at the border of a block of 32; from 256 tokens on, heads
# that cannot be shared evenly run in parts.
@pytest.mark.parametrize('T', [1, 32, 255, 257, 1500])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(('K', 'V'), [(16, 32), (5, 21)])
def test_threads_do_not_change_a_bit(T, dtype, K, V):
    args = inputs(T, dtype=dtype, B=1, H=3, K=K, V=V)
    expected = _on_threads(1, run, NATIVE, args)
    for threads in (2, 3, 5, 32):
        found = _on_threads(threads, run, NATIVE, args)
        torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.parametrize('directions', ['fwd', 'bwd'])
def test_threads_do_not_change_a_bit_of_one_direction(directions):
    args = inputs(700, dtype=torch.float64, B=1, H=3)
    expected = _on_threads(1, run, NATIVE, args, directions)
    found = _on_threads(32, run, NATIVE, args, directions)
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.parametrize('V', [32, 21])
def test_threads_do_not_change_a_bit_of_states(V):
    args = inputs(700, dtype=torch.float32, B=1, H=3, K=16, V=V)
    options = dict(cuts=(300,), initial=states_for(*args), backend='native')
    expected, states = _on_threads(1, lambda: in_parts(*args, **options))
    for threads in (2, 5, 32):
        found, found_states = _on_threads(threads, lambda: in_parts(*args, **options))
        torch.testing.assert_close(found, expected, atol=0, rtol=0)
        torch.testing.assert_close(found_states, states, atol=0, rtol=0)


def test_parts_are_the_recurrence():
    """What many threads compute, against the token loop in float64."""
    args = inputs(700, B=1, H=3, K=16, V=32)
    expected = run(BACKENDS['reference'], args)
    for x, true in zip(_on_threads(32, run, NATIVE, args), expected, strict=True):
        torch.testing.assert_close(x, true, atol=1e-12 * max(1, true.abs().max()), rtol=0)


def test_auto_chooses_native_on_cpus(monkeypatch):
    called = []
    monkeypatch.setitem(BACKENDS, 'native', lambda *args: called.append(args))
    bi_gla(*inputs(5))
    assert called


@pytest.mark.parametrize('name', ['_Args', '_GateArgs'])
def test_argument_structs_of_different_size_are_refused(name, monkeypatch):
    """Python mirrors a C++ struct; a field that only one side has would shift all after it."""

    class Longer(getattr(native, name)):
        _fields_ = (('extra', ctypes.c_int64),)

    monkeypatch.setattr(native, name, Longer)
    with pytest.raises(RuntimeError, match=r'expects arguments of \d+ bytes .*make Longer declare'):
        bi_gla(*inputs(4), backend='native')


FORKS = """
import os, sys, torch
from mmvig.kernels import bi_gla

def fork(check):
    if not os.fork():
        check()
        sys.stderr.flush()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.wait()[1])

def is_as_the_parent():
    assert torch.get_num_threads() == 3

def computes():
    assert torch.get_num_threads() == 1
    assert torch.equal(bi_gla(*args, backend='native'), expected)
    torch.randn(500, 500) @ torch.randn(500, 500)  # torch's own operations answer too

torch.set_num_threads(3)
args = [-torch.rand(2, 2000, 4, 16) for _ in range(5)]
before = fork(is_as_the_parent)
expected = bi_gla(*args, backend='native')
after = fork(computes)
torch.set_num_threads(1)
sys.exit(before or after or fork(computes))  # the second time it has lost none, and says nothing
"""


def test_a_forked_child_answers():
    """OpenMP's threads do not survive a fork, and its runtime waits for them."""
    done = subprocess.run(
        [sys.executable, '-c', FORKS], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count('runs on one thread: this process was forked') == 1


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != 'x86_64', reason='names x86 processors')
@pytest.mark.parametrize('processor', ['haswell', 'x86-64'])
def test_older_processors(processor, tmp_path, monkeypatch):
    """Narrower registers than this machine may have, AVX2 and SSE: the same numbers."""
    flags = [flag for flag in build.FLAGS if not flag.startswith('-march')]
    library = tmp_path / 'older.so'
    command = ['c++', *flags, f'-march={processor}', build.SOURCE, '-o', library]
    subprocess.run(command, check=True)
    monkeypatch.setattr(native, 'load', lambda: ctypes.CDLL(str(library)))
    for K, V in ((16, 32), (5, 7)):
        for dtype in (torch.float32, torch.bfloat16):
            assert_within_twice_the_loop(NATIVE, inputs(75, K=K, V=V, dtype=dtype))
    args = inputs(700, dtype=torch.float32, B=1, H=3)
    expected = _on_threads(1, run, NATIVE, args)
    torch.testing.assert_close(_on_threads(32, run, NATIVE, args), expected, atol=0, rtol=0)
