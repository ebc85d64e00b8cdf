"""The learning rate by the number of images in a step, where a step is of several batches."""

import copy

from mmengine.config import Config


def count_accumulated(cfg: Config) -> tuple[Config, str]:
    """Let `auto_scale_lr` count the images of a step, where a step is of several batches.

    mmengine compares one batch with `base_batch_size`, so with `accumulative_counts` the learning
    rate would be too low by that factor.

    Returns:
        tuple[Config, str]: a config with a base that is smaller by the factor, and what was done;
        `cfg` itself and '' where there is nothing to do.
    """
    scaling = cfg.get('auto_scale_lr') or {}
    count = (cfg.get('optim_wrapper') or {}).get('accumulative_counts') or 1
    if not scaling.get('enable') or 'base_batch_size' not in scaling or count == 1:
        return cfg, ''
    scaled = copy.deepcopy(cfg)
    base = scaling['base_batch_size']
    scaled.auto_scale_lr = dict(scaling, base_batch_size=base / count)
    note = (
        f'auto_scale_lr: a step is of {count} batches (accumulative_counts), so that one batch is '
        f'compared with base_batch_size / {count} = {base}/{count}'
    )
    return scaled, note
