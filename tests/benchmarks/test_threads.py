"""The benchmark of how threads share the operator's work."""

import os

import pytest
import torch


@pytest.fixture
def main(monkeypatch):
    monkeypatch.setenv('OMP_WAIT_POLICY', os.environ.get('OMP_WAIT_POLICY', 'passive'))
    from benchmarks.threads import main

    before = torch.get_num_threads()
    yield main
    torch.set_num_threads(before)


def test_a_line_for_each_pass_and_number_of_threads(main, capsys):
    name = 'ade-512x512-stage3'
    assert main(['--shapes', name, '--threads', '1', '2', '--runs', '2', '--batch', '1']) == 0
    _, *lines = (line.split() for line in capsys.readouterr().out.splitlines())
    assert [line[:3] for line in lines] == [
        [name, what, threads] for what in ('forward', 'backward') for threads in '12'
    ]
    for line in lines:
        ms, ratio, total, largest = map(float, line[3:])
        assert ms > 0
        assert ratio > 0
        assert 0 <= largest <= total  # a thread's clock may stand still for a tick
    assert sum(float(line[5]) for line in lines) > 0
    assert lines[0][4] == lines[2][4] == '1.00'
