"""A training stopped at any moment goes on as if it had not been."""

import os
import random
import signal
import time
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import worker_init_fn
from mmengine.registry import HOOKS
from torch.utils.data import DataLoader

import mmvig.cli.train
from mmvig import checkpoint
from mmvig.checks.errors import UserError
from mmvig.cli.train import apply_resume
from mmvig.engine.resume import atomic_file, rng_state
from mmvig.engine.resume.select import keep_seed, make_resumable, newest_checkpoint
from mmvig.engine.resume.worker_seeding import seed_by_batch
from tests.soak.trainings import differences, logs
from tests.support.commands import ROOT
from tests.support.interruptible_training import LOOPS, Samples, StopAt, Stopped, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    places = {}
    for kind in LOOPS:
        places[kind] = tmp_path_factory.mktemp('undisturbed') / kind
        run(kind, places[kind])
    return places


@pytest.mark.parametrize('kind', LOOPS)
def test_resume_after_a_stop_at_any_change_of_a_file(kind, undisturbed, tmp_path, monkeypatch):
    """Before each change in turn; the checkpoint that `last_checkpoint` names is always whole."""
    for n in range(1, 1000):
        place = tmp_path / f'{n}'
        with monkeypatch.context() as patch:
            StopAt(patch, n)
            try:
                run(kind, place)
                break
            except Stopped:
                pass
        if (place / 'last_checkpoint').is_file():
            checkpoint.read((place / 'last_checkpoint').read_text())
        run(kind, place)
        assert not differences(undisturbed[kind], place), f'stopped before change {n}'
    assert n > 25, 'the training changes fewer files than it should'


def test_compared_files_hold_metrics_and_rng_states(undisturbed):
    found = logs(undisturbed['iterations'])
    assert [key for key in found if key.startswith('validation')] == [
        f'validation {i}' for i in (4, 7)
    ]
    assert len([key for key in found if key.startswith('training')]) == 7
    (last,) = undisturbed['iterations'].glob('iter_7.pth')
    assert len(checkpoint.read(str(last))['random_state']) == 1


def test_rng_state_survives_a_checkpoint(tmp_path):
    def draw():
        return random.random(), random.gauss(0, 1), np.random.randn(), torch.rand(3).tolist()

    random.gauss(0, 1)  # leaves one for the next call
    np.random.randn()
    torch.save(dict(states=[rng_state.get_rng_state()]), tmp_path / 'a.pth')
    expected = draw()
    assert draw() != expected
    rng_state.set_rng_state(checkpoint.read(str(tmp_path / 'a.pth'))['states'][0])
    assert draw() == expected


def test_atomic_write_leaves_the_old_file_to_its_readers(tmp_path):
    """So there is no moment at which it is neither the old one nor the new one."""
    path = tmp_path / 'file'
    atomic_file.write(path, b'old')
    with path.open('rb') as old:
        atomic_file.write(path, b'new')
        assert old.read() == b'old'
    assert path.read_bytes() == b'new'


@pytest.mark.parametrize('begun', [False, True])
def test_atomic_write_survives_a_kill_at_any_time(begun, tmp_path):
    """At random, which may be before the first file, or inside a write that replaces one."""
    path, size = tmp_path / 'file', 2_000_000
    rng = random.Random(0)
    unfinished = 0
    kills = 0
    while kills < 10 or (begun and not unfinished and kills < 100):
        kills += 1
        if begun:
            atomic_file.remove_partial(tmp_path)
        writer = os.fork()
        if not writer:
            for i in range(1000):
                atomic_file.write(path, bytes([i % 256]) * size)
            os._exit(0)
        while begun and not (path.is_file() and list(tmp_path.glob('*.part'))):
            assert os.waitpid(writer, os.WNOHANG) == (0, 0), 'all was written, and never beside it'
            time.sleep(1e-4)
        time.sleep(0 if begun else rng.uniform(0, 0.03))
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        unfinished += len(list(tmp_path.glob('*.part')))
        if path.is_file():
            content = path.read_bytes()
            assert len(content) == size
            assert len(set(content)) == 1
    assert unfinished > 0 or not begun, 'no kill came while the file was written'
    atomic_file.remove_partial(tmp_path)
    assert {found.name for found in tmp_path.iterdir()} <= {'file'}


def save(path, iteration: int) -> None:
    meta = dict(time=f'20260101_00000{iteration}', iter=iteration, epoch=0)
    torch.save(dict(meta=meta, state_dict=dict(a=torch.rand(30_000))), path)


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:60_000])


def punch(path) -> None:
    """Zeros where the weights are, as a machine that lost its power leaves them."""
    content = bytearray(path.read_bytes())
    content[60_000:64_096] = bytes(4096)
    path.write_bytes(content)


@pytest.mark.parametrize('damage', [cut, punch, os.remove])
def test_a_damaged_checkpoint_is_skipped(damage, tmp_path):
    for i in (3, 1, 2):  # not in the order of their names or times of change
        save(tmp_path / f'iter_{i}.pth', i)
    save(tmp_path / 'best_mIoU_iter_9.pth', 9)
    (tmp_path / 'iter_4.pth.part').write_bytes(b'unfinished')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_3.pth'))
    assert newest_checkpoint(str(tmp_path)) == (tmp_path / 'iter_3.pth', '')
    damage(tmp_path / 'iter_3.pth')
    found, line = newest_checkpoint(str(tmp_path))
    assert found == tmp_path / 'iter_2.pth'
    assert line.endswith(f'is not whole: resuming from {found}, the newest whole checkpoint')
    (tmp_path / 'last_checkpoint').unlink()
    found, line = newest_checkpoint(str(tmp_path))
    assert found == tmp_path / 'iter_2.pth'
    assert line.startswith('there is no last_checkpoint')


def test_work_dir_without_a_whole_checkpoint(tmp_path):
    assert newest_checkpoint(str(tmp_path / 'absent')) == (None, '')
    save(tmp_path / 'iter_1.pth', 1)
    cut(tmp_path / 'iter_1.pth')
    assert newest_checkpoint(str(tmp_path)) == (
        None,
        'no checkpoint is whole (iter_1.pth): starting anew',
    )
    (tmp_path / 'last_checkpoint').write_text('')
    with pytest.raises(UserError, match='delete last_checkpoint'):
        newest_checkpoint(str(tmp_path))


def test_folders_of_a_strategy_are_resumed_from(tmp_path):
    (tmp_path / 'epoch_1.pth').mkdir()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    cfg = Config(dict(work_dir=str(tmp_path), runner_type='FlexibleRunner'))
    assert apply_resume(cfg, 'auto') == ''
    assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / 'epoch_1.pth'))
    with pytest.raises(UserError, match='expected a checkpoint file at'):
        apply_resume(Config(dict(work_dir=str(tmp_path))), 'auto')


def test_resume_keeps_the_first_seed(undisturbed):
    cfg = Config(dict())
    keep_seed(cfg, checkpoint.read(str(undisturbed['epochs'] / 'epoch_3.pth')))
    assert cfg.randomness.seed == 0
    keep_seed(cfg, dict(meta=dict(seed=5)))
    assert cfg.randomness.seed == 0, 'a seed of the config stays'


class FakeRunner:
    """What `train` does with a runner, without its training."""

    def __init__(self) -> None:
        self.logger = self
        self.lines = []
        self.warning = self.lines.append

    def train(self) -> None:
        pass


def test_resume_finds_the_checkpoint_by_itself(tmp_path, monkeypatch, cli):
    seen, runner = [], FakeRunner()

    def run(cfg, action) -> None:
        seen.append((cfg.resume, cfg.load_from))
        action(runner)

    monkeypatch.setattr(mmvig.cli.train, 'run', run)
    begin = tmp_path / 'begin.pth'
    save(begin, 0)
    command = ['train', ROOT / 'configs/cls/vig_classifier_mini.py', '--work-dir', tmp_path / 'run',
               '--resume', '--cfg-options', f'load_from={begin}']  # fmt: skip
    cli.output(*command)
    assert seen.pop() == (False, str(begin)), 'there is none yet: as without the option'
    (tmp_path / 'run').mkdir()
    for i in (1, 2):
        save(tmp_path / f'run/epoch_{i}.pth', i)
    (tmp_path / 'run/last_checkpoint').write_text(str(tmp_path / 'run/epoch_2.pth'))
    cli.output(*command)
    assert seen.pop() == (True, str(tmp_path / 'run/epoch_2.pth'))
    assert not runner.lines
    cut(tmp_path / 'run/epoch_2.pth')
    cli.output(*command)
    assert seen.pop() == (True, str(tmp_path / 'run/epoch_1.pth'))
    assert 'epoch_2.pth, which last_checkpoint names, is not whole' in runner.lines[0]


def test_checkpoint_hook_of_mmengine_is_replaced():
    for hooks, expected in (
        (None, 'mmvig.ResumableCheckpointHook'),
        (dict(checkpoint=dict(type='CheckpointHook')), 'mmvig.ResumableCheckpointHook'),
        (dict(checkpoint=dict(type='MyHook')), 'MyHook'),
    ):
        cfg = Config(dict() if hooks is None else dict(default_hooks=hooks))
        make_resumable(cfg)
        assert cfg.default_hooks.checkpoint.type == expected
        assert bool(cfg.get('custom_hooks')) == (expected != 'MyHook')
    off = Config(dict(default_hooks=dict(checkpoint=None)))
    make_resumable(off)
    assert off.default_hooks.checkpoint is None


def test_the_first_name_of_a_hook_still_builds_it():
    """Configs that were dumped by version 0.1 have it."""
    hook = HOOKS.build(dict(type='mmvig.DueValidationHook'))
    assert type(hook) is type(HOOKS.build(dict(type='mmvig.ValidateOnResumeHook')))


def loader(persistent: bool = False, **place) -> DataLoader:
    result = DataLoader(
        Samples(), batch_sampler=[[0, 0]] * 6, num_workers=2, collate_fn=list,
        persistent_workers=persistent,
        worker_init_fn=partial(worker_init_fn, num_workers=2, rank=0, seed=0),
    )  # fmt: skip
    seed_by_batch(result, **place)
    return result


def drawn(batches) -> list[list[float]]:
    return [batch[0]['inputs'].tolist() + batch[1]['inputs'].tolist()
            for batch in batches]  # fmt: skip


def test_random_numbers_follow_from_the_batch_number():
    kept = loader(persistent=True)
    epochs = [drawn(kept) for _ in range(3)]
    assert epochs[1] == drawn(loader(epoch=1)), 'as in processes that start with that epoch'
    assert epochs[2] == drawn(loader(epoch=2))
    numbers = [number for epoch in epochs for batch in epoch for number in batch]
    assert len(set(numbers)) == len(numbers), 'no number is drawn twice'
    infinite = drawn(loader(infinite=True))
    assert drawn(loader(infinite=True, number=3))[:3] == infinite[3:]
