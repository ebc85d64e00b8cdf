"""Processes that train together, started as a cluster does: without a supervisor."""

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import mmdet.registry
import mmpretrain.registry
import torch
from torch.multiprocessing import ProcessContext, start_processes

import mmvig.cli.train

from . import fault_hooks  # noqa: F401  which configs of the tests name

# What a runner would import in each process anew.
for host in (mmdet, mmpretrain):
    for registry in (host.registry.MODELS, host.registry.DATASETS, host.registry.VISUALIZERS):
        registry.import_from_location()


def start(world: int, function: Callable, *args, folder: Path, count=None) -> ProcessContext:
    """`function(rank, *args)` in the first `count` of `world` processes (all), within `folder`.

    They come from one server that has imported the MM libraries already. What they write is in
    `stdout{rank}.txt` and `stderr{rank}.txt`.
    """
    multiprocessing.get_context('forkserver').set_forkserver_preload([__name__])
    with socket.socket() as probing:
        probing.bind(('127.0.0.1', 0))
        port = probing.getsockname()[1]
    return start_processes(
        _be_rank,
        (world, port, folder, function, args),
        nprocs=world if count is None else count,
        join=False,
        start_method='forkserver',
    )


def together(world: int, function: Callable, *args, folder: Path, seconds: float = 120) -> None:
    """All processes of `start`, which must end well."""
    context = start(world, function, *args, folder=folder)
    try:
        while not context.join(seconds):
            assert any(p.exitcode is not None for p in context.processes), f'not in {seconds} s'
    finally:
        for process in context.processes:
            process.kill()


def _be_rank(rank: int, world: int, port: int, folder: Path, function: Callable, args: tuple):
    torch.set_num_threads(1)
    os.chdir(folder)
    os.environ |= {
        'RANK': str(rank),
        'LOCAL_RANK': str(rank),
        'WORLD_SIZE': str(world),
        'MASTER_ADDR': '127.0.0.1',
        'MASTER_PORT': str(port),
    }
    for name in ('stdout', 'stderr'):
        with open(f'{name}{rank}.txt', 'a') as file:
            os.dup2(file.fileno(), getattr(sys, name).fileno())
    function(rank, *args)


def train(rank: int, *argv: str) -> None:
    """`python -m mmvig train …` as one of the processes of a launcher."""
    mmvig.cli.train.main([*map(str, argv), '--launcher', 'pytorch'])
