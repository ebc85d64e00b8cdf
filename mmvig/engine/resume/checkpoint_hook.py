"""Checkpoints from which a training killed at any moment resumes as if nothing had happened."""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size, is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import DataLoader

from mmvig.registry import HOOKS

from . import atomic_file, rng_state
from .worker_seeding import seed_by_batch


@HOOKS.register_module()
class ResumableCheckpointHook(CheckpointHook):
    """mmengine's `CheckpointHook` with the same arguments, safe against a stop at any moment.

    On a local disk every file is written atomically. An old checkpoint is deleted only once the new
    one and the `last_checkpoint` that names it exist.

    A checkpoint also holds, under `random_state`, the random number generators of every process,
    which a resumed training restores before its first batch. Validation does not change them, so
    validating makes no difference to a training. Workers of data loaders (`num_workers`) are seeded
    by batch.

    On a CPU a resumed training therefore equals one without a stop to the last bit, if the number
    of processes is the same: by iterations from every checkpoint, by epochs from those at an
    epoch's end, with and without workers. On a GPU it is as equal as two runs are.

    Not restored are gradients accumulated across a checkpoint, and transforms that keep former
    samples (mmdet's `CachedMosaic`). In a loop by iterations with workers, the order of the data is
    restored but not the augmentation if the sampler is finite, and with upstream mmengine, which
    starts workers before any hook.
    """

    def before_train(self, runner) -> None:
        super().before_train(runner)
        if self.max_keep_ckpts > 0:
            self.keep_ckpt_ids = deque(self.keep_ckpt_ids)  # unbounded: one more during a save
        if self.file_client_args is None and isinstance(self.file_backend, LocalBackend):
            self.backend_args = dict(backend=atomic_file.BACKEND)
            if is_main_process():
                for folder in {self.out_dir, runner.work_dir}:
                    atomic_file.remove_partial(folder)
        if runner.iter > 0:
            # Saved again as the best one if the validation that is still due makes it that.
            self.last_ckpt = runner.message_hub.get_info('last_ckpt')
            if self.save_best:
                self._delete_former_best(runner)
            self._restore_rng(runner)

    def before_train_epoch(self, runner) -> None:
        loop = runner.train_loop
        infinite = isinstance(loop, IterBasedTrainLoop)
        seed_by_batch(loop.dataloader, 0 if infinite else runner.epoch, infinite=infinite)

    def _restore_rng(self, runner) -> None:
        states = self._loaded_states
        if states is None or len(states) != get_world_size():
            runner.logger.warning(
                'the checkpoint has no states of the random number generators'
                f'{f" of {get_world_size()} processes" if states else ""}: the training goes on '
                'with other random numbers than without the stop'
            )
            return
        restore = partial(rng_state.set_rng_state, states[get_rank()])
        restore()
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            skipped = 0 if getattr(loop, 'fast_forward_on_resume', False) else runner.iter
            loop.dataloader_iterator = _ResumedIterator(
                loop.dataloader_iterator, loop.dataloader, skipped, restore
            )
        if isinstance(loop, IterBasedTrainLoop) or loop.dataloader.persistent_workers:
            # A new iterator of the loader draws a number, as the one before the stop had done.
            loop.dataloader.generator = torch.Generator()

    def before_val_epoch(self, runner) -> None:
        self._before_validation = rng_state.get_rng_state()

    def after_val_epoch(self, runner, metrics: dict) -> None:
        rng_state.set_rng_state(self._before_validation)
        super().after_val_epoch(runner, metrics)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        self._loaded_states = checkpoint.pop('random_state', None)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        if self._states is not None:
            checkpoint['random_state'] = self._states

    _loaded_states: list[dict] | None = None
    _states: list[dict] | None = None

    def _save_checkpoint_with_step(self, runner, step: int, meta: dict) -> None:
        """Save, then name the checkpoint in `last_checkpoint`, then delete old ones.

        The new checkpoint still lists the old ones, so that a resumed training deletes them if
        this one was stopped before it could.
        """
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        self._states = _gather(rng_state.get_rng_state())
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        self._states = None
        if is_main_process():
            atomic_file.write(Path(runner.work_dir, 'last_checkpoint'), self.last_ckpt.encode())
        while self.max_keep_ckpts > 0 and len(self.keep_ckpt_ids) > self.max_keep_ckpts:
            old = self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
            self._delete(self.file_backend.join_path(self.out_dir, old))

    def _save_best_checkpoint(self, runner, metrics: dict) -> None:
        """As mmengine does, but the former best checkpoints are deleted last."""
        if not self.save_best:
            return
        former = self._best_paths()
        runner.message_hub.update_info('former_best', [path for path in former.values() if path])
        self._set_best_paths(dict.fromkeys(former))
        super()._save_best_checkpoint(runner, metrics)
        best = self._best_paths()
        self._set_best_paths({key: best.get(key) or path for key, path in former.items()})
        self._delete_former_best(runner)

    def _delete_former_best(self, runner) -> None:
        for path in runner.message_hub.get_info('former_best', []):
            if path not in self._best_paths().values():
                self._delete(path)

    def _best_paths(self) -> dict[str, str | None]:
        if len(self.key_indicators) == 1:
            return {'': self.best_ckpt_path}
        return dict(self.best_ckpt_path_dict)

    def _set_best_paths(self, paths: dict[str, str | None]) -> None:
        if len(self.key_indicators) == 1:
            self.best_ckpt_path = paths['']
        else:
            self.best_ckpt_path_dict = paths

    def _delete(self, path: str) -> None:
        if not is_main_process():
            return
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):  # DeepSpeed saves folders
            self.file_backend.rmtree(path)


def _gather(state: dict) -> list[dict]:
    return all_gather_object(state) if get_world_size() > 1 else [state]


class _ResumedIterator:
    """The batches of a resumed loop; random states are restored once trained batches are skipped.

    The maintained forks of mmengine skip batches by `skip_iter`; upstream loads them, which draws
    random numbers.
    """

    def __init__(
        self, batches: Iterator, loader: DataLoader, skipped: int, restore: Callable[[], None]
    ) -> None:
        self._batches = batches
        self._loader = loader
        self._to_skip = skipped
        self._restore = restore

    def skip_iter(self, number: int) -> None:
        self._batches.skip_iter(number)
        self._to_skip = 0
        if self._batches._iterator is None:  # the sampler skipped without loading
            seed_by_batch(self._loader, number=number, infinite=True)

    def __next__(self):
        if self._to_skip == 0:
            self._restore()
        self._to_skip -= 1
        return next(self._batches)
