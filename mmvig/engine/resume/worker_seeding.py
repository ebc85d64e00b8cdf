"""Worker seeds by batch: the random numbers of a batch follow from seed, rank and batch number.

mmengine seeds a worker process of a data loader when it starts. The random numbers of a batch then
depend on all that the same worker has loaded before, which differs after a resume; and where
workers start anew with every epoch, each epoch is augmented with the numbers of the first.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from mmengine.dataset import worker_init_fn as init_of_mmengine
from torch.utils.data import DataLoader, get_worker_info


def seed_by_batch(
    loader: DataLoader, epoch: int = 0, number: int = 0, infinite: bool = False
) -> None:
    """Let workers that `loader` starts from now on seed every batch by its number.

    A loader without workers, or whose config names a `worker_init_fn` of its own, stays as it is.

    Args:
        epoch (int): The one that the next batch belongs to.
        number (int): Of the next batch in its epoch.
        infinite (bool): Whether the loader's sampler is infinite, and so has no epochs.
    """
    init = loader.worker_init_fn
    init = init.keywords['init'] if getattr(init, 'func', None) is _start_worker else init
    if loader.num_workers == 0 or getattr(init, 'func', None) is not init_of_mmengine:
        return
    length = None if infinite else len(loader)
    loader.worker_init_fn = partial(
        _start_worker, init=init, epoch=epoch, number=number, length=length
    )


def _start_worker(
    worker_id: int, init: partial, epoch: int, number: int, length: int | None
) -> None:
    init(worker_id)
    dataset = get_worker_info().dataset  # the worker's own copy
    seeder = _BatchSeeder(init.keywords['seed'], init.keywords['rank'], epoch, number, length)
    # By this method torch loads the samples of a batch together.
    dataset.__getitems__ = partial(seeder.load, getattr(dataset, '__getitems__', None))


class _BatchSeeder:
    """Loads the batches of one worker, every `num_workers`-th of the loader's, each with a seed."""

    def __init__(self, seed: int, rank: int, epoch: int, number: int, length: int | None) -> None:
        self._origin = (seed, rank)
        self._epoch, self._first, self._length = epoch, number, length
        self._taken = 0

    def _next_batch(self) -> tuple[int, int]:
        """Epoch and number of the batch that this worker loads next."""
        info = get_worker_info()
        epoch, taken = self._epoch, self._taken
        if self._length is not None:  # a persistent worker outlives an epoch
            share = -(-(self._length - info.id) // info.num_workers)
            epoch, taken = epoch + taken // share, taken % share
        return epoch, self._first + info.id + taken * info.num_workers

    def load(self, load_together: Callable | None, indices: Sequence[int]) -> list:
        seeds = np.random.SeedSequence([*self._origin, *self._next_batch()]).generate_state(3)
        for seed, set_seed in zip(
            seeds.tolist(), (random.seed, np.random.seed, torch.manual_seed), strict=True
        ):
            set_seed(seed)
        self._taken += 1
        if load_together is not None:
            return load_together(indices)
        dataset = get_worker_info().dataset
        return [dataset[index] for index in indices]
