"""Predicted times: what is read from machine code, the model of the chip, and the table."""

import csv
import os
import subprocess
import sys

import pytest

from mmvig.kernels.triton import OPENS
from tests.support.commands import ROOT

FOLDER = str(ROOT / 'tools')


@pytest.fixture
def tool(monkeypatch):
    """A module of tools/ by name; they import one another as scripts do."""
    monkeypatch.syspath_prepend(FOLDER)
    return __import__


def lines_of(function: str, name: str) -> str:
    """The comment that nvdisasm prints before the code of a function's first line."""
    source = (ROOT / 'kernels/triton' / name).read_text().splitlines()
    line = next(i for i, text in enumerate(source, 1) if text.startswith(f'def {function}('))
    return f'//## File "/elsewhere/{name}", line {line + 1}'


def code(*lines: str) -> str:
    """As nvdisasm prints: instructions with addresses, labels and comments as they are."""
    printed = [
        line if line.startswith(('.L', '//')) else f'        /*{i:04x}*/   {line} ;'
        for i, line in enumerate(lines)
    ]
    return '\n'.join(printed)


def test_loops_run_as_often_as_their_functions_say(tool):
    kernel_code = tool('kernel_code')
    text = code(
        lines_of('add_scores', 'tiles.py'),
        'S2R R0, SR_TID.X',
        '.L_x_0:',
        'FADD R1, R1, R0',
        '@P0 BRA `(.L_x_0)',
        lines_of('chunk_state', 'state.py'),
        '.L_x_1:',
        'FMUL R2, R1, R1',
        '@P1 BRA `(.L_x_1)',
        'EXIT',
        'NEVER R0',
    )
    trips = kernel_code.Trips({'add_scores': (3,), 'chunk_state': (1, 2)}, outer=1)
    order = [x.name for x in kernel_code.run_order(kernel_code.parse(text), trips)]
    assert order == ['S2R', *['FADD', 'BRA'] * 3, 'FMUL', 'BRA', 'EXIT']


def test_loops_inside_a_loop(tool):
    kernel_code = tool('kernel_code')
    inner = ('S2R R0, SR_TID.X', '.L_x_1:', 'FADD R1, R1, R0', '@P1 BRA `(.L_x_1)')
    text = code(
        lines_of('advance_state', 'state.py'), '.L_x_0:', *inner, 'FMUL R2, R1, R1',
        '@P0 BRA `(.L_x_0)', 'EXIT',
    )  # fmt: skip
    trips = kernel_code.Trips({'advance_state': (1, 2)}, outer=2)
    order = [x.name for x in kernel_code.run_order(kernel_code.parse(text), trips)]
    assert order.count('FADD') == 1 + 2
    assert order.count('FMUL') == 2


def test_an_unknown_loop_is_an_error(tool):
    kernel_code = tool('kernel_code')
    text = code('.L_x_0:', 'FADD R1, R1, R0', '@P0 BRA `(.L_x_0)', 'EXIT')
    with pytest.raises(RuntimeError, match='expected a loop of add_scores'):
        list(
            kernel_code.run_order(
                kernel_code.parse(text), kernel_code.Trips({'add_scores': (1,)}, 1)
            )
        )


def test_of_two_sides_the_longer_runs(tool):
    kernel_code = tool('kernel_code')
    text = code(
        '@P0 BRA `(.L_x_0)', 'MOV R0, R1', 'BRA `(.L_x_1)', '.L_x_0:', 'FADD R1, R1, R0',
        'FADD R1, R1, R0', 'FADD R1, R1, R0', '.L_x_1:', '@P1 BRA `(.L_x_2)', 'STG.E [R2], R1',
        '.L_x_2:', 'EXIT',
    )  # fmt: skip
    order = [x.name for x in kernel_code.run_order(kernel_code.parse(text), None)]
    assert order == ['BRA', *['FADD'] * 3, 'BRA', 'STG.E', 'EXIT']


def test_code_behind_the_end_is_not_run(tool):
    """Where a compiler puts what is seldom run; the jump back is no loop."""
    kernel_code = tool('kernel_code')
    text = code(
        '@P0 BRA `(.L_x_1)', '.L_x_0:', 'FADD R1, R1, R0', '@P1 EXIT', 'FMUL R1, R1, R0', 'EXIT',
        '.L_x_1:', 'MUFU.EX2 R1, R1', 'BRA `(.L_x_0)',
    )  # fmt: skip
    parsed = kernel_code.parse(text)
    assert parsed.loops() == {}
    whole = kernel_code.run_order(parsed, kernel_code.Trips({}, outer=1))
    assert [x.name for x in whole] == ['BRA', 'FADD', 'EXIT', 'FMUL', 'EXIT']
    returned = kernel_code.run_order(parsed, kernel_code.Trips({}, outer=1, returns=True))
    assert [x.name for x in returned] == ['BRA', 'FADD', 'EXIT']


@pytest.mark.parametrize(
    ('line', 'reads', 'writes'),
    [
        ('FADD R1, R2, -R3', {'R2', 'R3'}, {'R1'}),
        (
            '@!P2 LDG.E.128 R4, desc[UR4][R2.64]',
            {'UR4', 'R2', 'R3', 'P2'},
            {'R4', 'R5', 'R6', 'R7'},
        ),
        ('STG.E.64 desc[UR4][R2.64], R8', {'UR4', 'R2', 'R3', 'R8', 'R9'}, set()),
        ('ISETP.GE.AND P1, PT, R3, R4, PT', {'R3', 'R4'}, {'P1'}),
        (
            'HGMMA.64x16x8.F32.TF32 R24, R40, gdesc[UR4], R24, gsb0',
            {
                *(f'R{i}' for i in (*range(40, 44), *range(24, 32))),
                *(f'UR{i}' for i in range(4, 8)),
            },
            {f'R{i}' for i in range(24, 32)},
        ),
        ('IMAD.WIDE R6, R1, R2, R8', {'R1', 'R2', 'R8'}, {'R6', 'R7'}),
    ],
)
def test_registers_of_an_instruction(line, reads, writes, tool):
    (x,) = tool('kernel_code').parse(code(line)).instructions
    assert [set(names) for names in x.reads_and_writes()] == [reads, writes]


def test_a_chain_waits_and_independent_instructions_do_not(tool):
    chip, kernel_code = tool('chip_model'), tool('kernel_code')
    chain = kernel_code.parse(code(*(f'MUFU.EX2 R{i + 1}, R{i}' for i in range(10)))).instructions
    apart = kernel_code.parse(code(*(f'FADD R{i + 10}, R1, R2' for i in range(10)))).instructions
    assert chip.latency(chain) == pytest.approx(10 * chip.LATENCIES['MUFU'], rel=0.1)
    assert chip.latency(apart) < 30
    assert chip.cycles(apart) == 10 / 4, 'four are issued in a cycle'
    assert chip.cycles(chain) == 10 * 2, 'one in two cycles is what that unit takes'


def test_products_of_a_warp_group_run_side_by_side_until_waited_for(tool):
    chip, kernel_code = tool('chip_model'), tool('kernel_code')
    product = 'HGMMA.64x64x8.F32.TF32 R24, R8, gdesc[UR4], RZ'
    other = product.replace('R24', 'R64')
    wait = 'WARPGROUP.DEPBAR.LE gsb0, 0x0'
    alone, both = (
        chip.latency(kernel_code.parse(code(*lines, wait, 'MOV R1, R2')).instructions)
        for lines in ((product,), (product, other))
    )
    took = chip.LATENCIES['HGMMA'] + 64 / 2
    assert alone == pytest.approx(took + 5, abs=3)
    assert both == pytest.approx(alone + 4 * 64 / 8, abs=3), 'the pipe is taken for that long'


def test_programs_at_once(tool):
    resident = tool('chip_model').resident
    assert resident(registers=255, shared=0, warps=8) == 1
    assert resident(registers=32, shared=0, warps=1) == 32
    assert resident(registers=32, shared=100 * 1024, warps=1) == 2
    assert resident(registers=32, shared=0, warps=16) == 4


@pytest.mark.slow
def test_predictions_of_built_kernels(tmp_path):
    environment = {name: x for name, x in os.environ.items() if name != 'TRITON_INTERPRET'}
    path = tmp_path / 'rows.csv'
    options = '--shapes', 'ade-512x512-stage1', '--dtypes', 'bfloat16'
    command = [sys.executable, f'{FOLDER}/predict_kernels.py', *options, '--mix', '--csv', path]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = list(csv.DictReader(path.open()))
    assert [(row['mode'], row['chip']) for row in rows] == [
        (mode, chip) for mode in ('forward', 'forward+backward') for chip in ('H100', 'H200')
    ]
    for row in rows:
        assert float(row['over_bytes']) > 1
        assert float(row['predicted_us']) / float(row['bytes_us']) == pytest.approx(
            float(row['over_bytes']), rel=0.05
        )
    # 16,384 tokens of two images and three heads: 2·(2·16 + 32)·2 B in, gates of 128 B, out 64 B.
    per_token = (2 * 16 + 32) * 2 + 2 * 16 * 4 + 32 * 2
    assert float(rows[1]['bytes_us']) == pytest.approx(2 * 16384 * 3 * per_token / 4.8e6, abs=0.1)

    mix = done.stdout.partition('\n\n')[0]
    header, _, *table = (line.strip('| ').split(' | ') for line in mix.splitlines())
    kernels = {row[0]: dict(zip(header, row, strict=True)) for row in table}
    assert {'state of keys', 'scan of keys', 'output', 'gradients'} <= set(kernels)
    assert kernels['scan of keys']['tensor cores'] == '0'
    if OPENS:
        assert int(kernels['open_output']['tensor cores']) > 0
        assert int(kernels['open_gradients']['tensor cores']) > 0
        # Chunks are open, so what would halve them only looks and returns.
        assert kernels['output']['tensor cores'] == '0'
        assert float(kernels['output']['latency_cycles']) < 1000
    else:
        assert int(kernels['output']['tensor cores']) > 0


def test_the_table_of_the_readme_is_that_of_the_rows():
    rows = list(csv.DictReader((ROOT / 'benchmarks/results/kernel_predictions.csv').open()))
    readme = (ROOT / 'kernels/README.md').read_text()
    shown = [line for line in readme.splitlines() if line.startswith(('| forward |', '| forward+'))]
    assert shown
    for line in shown:
        mode, call, predicted, over_bytes, *_ = line.strip('| ').split(' | ')
        B, T, H, K, V = call.replace(',', '').split()
        same = [
            row for row in rows
            if (row['mode'], row['dtype'], row['chip']) == (mode, 'bfloat16', 'H200')
            and [row[k] for k in 'BTHKV'] == [B, T, H, K, V]
        ]  # fmt: skip
        assert [(row['predicted_us'], row['over_bytes']) for row in same] == [
            (predicted, over_bytes)
        ]
