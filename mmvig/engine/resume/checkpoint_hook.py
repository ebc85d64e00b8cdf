"""Checkpoints that a training, killed at any moment, goes on from as if nothing had happened."""

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
    """mmengine's `CheckpointHook`, of the same arguments, safe against a stop at any moment.

    On a local disk every file appears under its name only when it is whole. An old checkpoint is
    deleted when the new one and the `last_checkpoint` that names it are there.

    A checkpoint also holds, under `random_state`, the random number generators of every process,
    and a resumed training takes them up at its first batch. Validation leaves them as they were, so
    that it makes no difference whether a training was validated or not. In processes that load data
    (`num_workers`) the numbers are seeded by batch.

    So on a CPU a resumed training equals one without a stop to the last bit, by iterations from
    every checkpoint, by epochs from those at an epoch's end, with processes that load data as
    without, if as many processes train. On a GPU it is as equal as two runs are. Unequal are
    gradients accumulated across a checkpoint, and transforms that keep former samples (mmdet's
    `CachedMosaic`). Where processes load the data of a loop by iterations, the augmentation, not
    the order of the data, is unequal if the sampler has an end, and with upstream mmengine, which
    starts these processes before any hook.
    """

    def before_train(self, runner) -> None:
        super().before_train(runner)
        if self.max_keep_ckpts > 0:
            self.keep_ckpt_ids = deque(self.keep_ckpt_ids)  # one more while the new is written
        if self.file_client_args is None and isinstance(self.file_backend, LocalBackend):
            self.backend_args = dict(backend=atomic_file.BACKEND)
            if is_main_process():
                for folder in {self.out_dir, runner.work_dir}:
                    atomic_file.remove_unfinished(folder)
        if runner.iter > 0:
            # Written again if the validation that it still owes makes it the best.
            self.last_ckpt = runner.message_hub.get_info('last_ckpt')
            if self.save_best:
                self._delete_former_best(runner)
            self._take_up(runner)

    def before_train_epoch(self, runner) -> None:
        loop = runner.train_loop
        endless = isinstance(loop, IterBasedTrainLoop)
        seed_by_batch(loop.dataloader, 0 if endless else runner.epoch, endless=endless)

    def _take_up(self, runner) -> None:
        states = self._loaded_states
        if states is None or len(states) != get_world_size():
            runner.logger.warning(
                'the checkpoint has no states of the random number generators'
                f'{f" of {get_world_size()} processes" if states else ""}: the training goes on, '
                'but with other random numbers than without the stop'
            )
            return
        restore = partial(rng_state.restore, states[get_rank()])
        restore()
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            skipped = 0 if getattr(loop, 'fast_forward_on_resume', False) else runner.iter
            loop.dataloader_iterator = _RestoredAt(
                loop.dataloader_iterator, loop.dataloader, skipped, restore
            )
        if isinstance(loop, IterBasedTrainLoop) or loop.dataloader.persistent_workers:
            # The loader's iterator, made anew, draws a number, which the first one did long ago.
            loop.dataloader.generator = torch.Generator()

    def before_val_epoch(self, runner) -> None:
        self._before_validation = rng_state.capture()

    def after_val_epoch(self, runner, metrics: dict) -> None:
        rng_state.restore(self._before_validation)
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

        What is to be deleted is still in the new checkpoint's list, from which it is deleted on
        resuming if the training did not come to it here.
        """
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        self._states = _of_all_processes(rng_state.capture())
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
        """As mmengine does, but the former best ones are deleted last."""
        if not self.save_best:
            return
        former = self._best_paths()
        runner.message_hub.update_info('former_best', [path for path in former.values() if path])
        self._set_best_paths(dict.fromkeys(former))
        super()._save_best_checkpoint(runner, metrics)
        found = self._best_paths()
        self._set_best_paths({key: found.get(key) or path for key, path in former.items()})
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
        elif self.file_backend.isdir(path):  # as DeepSpeed saves
            self.file_backend.rmtree(path)


def _of_all_processes(state: dict) -> list[dict]:
    return all_gather_object(state) if get_world_size() > 1 else [state]


class _RestoredAt:
    """The batches of a resumed loop, which passes over those that were trained on.

    mmengine's forks skip them by `skip_iter`; upstream loads them, and draws random numbers for it.
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
        if self._batches._iterator is None:  # the sampler skipped, and nothing was loaded
            seed_by_batch(self._loader, number=number, endless=True)

    def __next__(self):
        if self._to_skip == 0:
            self._restore()
        self._to_skip -= 1
        return next(self._batches)
