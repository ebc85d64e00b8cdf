"""The comparison of backbones: it trains, counts, keeps rows, prints and draws."""

import csv
import sys

import pytest

from benchmarks import mini_set

pytestmark = pytest.mark.slow

FEW = ('train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'train_dataloader.dataset.indices=2',
       'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
       'val_dataloader.dataset.indices=1', 'val_dataloader.num_workers=0',
       'val_dataloader.persistent_workers=False')  # fmt: skip


@pytest.fixture(scope='module')
def compared(workspace):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mini_set, 'RUNS', 3)
        options = ('--csv', 'rows.csv', '--cfg-options', *FEW)
        run('vir', *options, folder=workspace, monkeypatch=patch)
    return workspace / 'rows.csv'


def test_a_row_says_what_was_measured(compared):
    (row,) = csv.DictReader(compared.open())
    assert row['config'] == 'det/vir_maskrcnn_mini'
    assert row['backbone'] == 'ViR nano'
    assert int(row['backbone_parameters']) == 1_315_072
    linear = 6 * 141 * 12 * 128**2  # 10×14 tokens and the class token
    stem = 140 * 3 * 16**2 * 128
    positions = (10 * 14 + 140) * 14 * 128
    retention = 6 * 141 * 4 * 2 * 2 * 32**2
    assert int(row['backbone_macs']) == linear + stem + positions + retention
    assert 0 <= float(row['bbox_mAP']) <= 1
    assert float(row['cpu_seconds_per_image']) > 0
    assert row['commit']
    assert row['device']


def run(*words: str, folder, monkeypatch) -> None:
    """The benchmark in this process; its trainings have their own."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, 'argv', ['mini_set', *words])  # what rows keep as their command
    mini_set.main(words)


def test_finished_trainings_can_be_timed_again(compared, workspace, monkeypatch):
    monkeypatch.setattr(mini_set, 'RUNS', 3)
    before = next(csv.DictReader(compared.open()))
    run('vir', '--csv', 'rows.csv', '--reuse', folder=workspace, monkeypatch=monkeypatch)
    (after,) = csv.DictReader(compared.open())
    assert after['train_seconds'] == before['train_seconds']
    assert after['command'].endswith('--reuse')


def test_the_table_and_the_plot_come_from_the_rows(compared, workspace, monkeypatch, capsys):
    text = compared.read_text()
    compared.with_suffix('.png').unlink()
    other = text.splitlines()[1].replace('det/vir_', 'det/vig_').replace('ViR nano', 'Another')
    compared.write_text(f'{text}{other}\n')
    run('--table', '--csv', 'rows.csv', folder=workspace, monkeypatch=monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('| backbone | parameters |')
    assert lines[2].startswith('| ViR nano | 1,315,072 |')
    assert lines[3].startswith('| Another |')
    assert compared.with_suffix('.png').is_file()


def test_unknown_backbones_are_refused(workspace, monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        run('swin', folder=workspace, monkeypatch=monkeypatch)
    assert end.value.code == 2
    assert 'expected names of vig, vig-plain, vir, linglo; got swin' in capsys.readouterr().err
