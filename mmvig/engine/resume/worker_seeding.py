"""Seeds for processes that load data: what a batch draws follows from seed, rank and its number.

mmengine seeds such a process when it starts. What a batch draws then depends on all that the same
process has loaded before it, which is another story after a resume; and where the processes start
anew with every epoch, each epoch is augmented with the numbers of the first.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from mmengine.dataset import worker_init_fn as init_of_mmengine
from torch.utils.data import DataLoader, get_worker_info


def seed_by_batch(loader: DataLoader, epoch: int = 0, number: int = 0, endless: bool = False):
    """Let processes that `loader` starts from now on seed every batch by its number.

    A loader that loads in this process, or whose config names a `worker_init_fn` of its own, is
    left as it is.

    Args:
        epoch (int): The one that the next batch belongs to.
        number (int): Of the next batch in its epoch.
        endless (bool): Whether the loader's sampler has no end, and so no epochs.
    """
    init = loader.worker_init_fn
    init = init.keywords['init'] if getattr(init, 'func', None) is _start_worker else init
    if loader.num_workers == 0 or getattr(init, 'func', None) is not init_of_mmengine:
        return
    length = None if endless else len(loader)
    loader.worker_init_fn = partial(
        _start_worker, init=init, epoch=epoch, number=number, length=length
    )


def _start_worker(
    worker_id: int, init: partial, epoch: int, number: int, length: int | None
) -> None:
    init(worker_id)
    dataset = get_worker_info().dataset  # this process's own
    draw = _Draw(init.keywords['seed'], init.keywords['rank'], epoch, number, length)
    # torch's way to load the samples of a batch together.
    dataset.__getitems__ = partial(draw.load, getattr(dataset, '__getitems__', None))


class _Draw:
    """Loads the batches of one process, which are every `num_workers`-th of the loader's."""

    def __init__(self, seed: int, rank: int, epoch: int, number: int, length: int | None) -> None:
        self._origin = (seed, rank)
        self._epoch, self._first, self._length = epoch, number, length
        self._taken = 0

    def _place(self) -> tuple[int, int]:
        """Epoch and number of the batch that this process loads next."""
        info = get_worker_info()
        epoch, taken = self._epoch, self._taken
        if self._length is not None:  # a process may outlive an epoch
            share = -(-(self._length - info.id) // info.num_workers)
            epoch, taken = epoch + taken // share, taken % share
        return epoch, self._first + info.id + taken * info.num_workers

    def load(self, load_together: Callable | None, indices: Sequence[int]) -> list:
        seeds = np.random.SeedSequence([*self._origin, *self._place()]).generate_state(3)
        for seed, set_seed in zip(
            seeds.tolist(), (random.seed, np.random.seed, torch.manual_seed), strict=True
        ):
            set_seed(seed)
        self._taken += 1
        if load_together is not None:
            return load_together(indices)
        dataset = get_worker_info().dataset
        return [dataset[index] for index in indices]
