"""Small trainings that draw many random numbers, compared with each other to the last bit."""

import json
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from mmvig import checkpoint

ROOT = Path(__file__).resolve().parents[2]
TIMES = ('time', 'data_time', 'memory')

# Crops and flips, drop path and dropout; a best checkpoint, two kept, a validation between them.
SEG = """
_base_ = {base!r}
crop_size = (48, 48)
model = dict(data_preprocessor=dict(size=crop_size), backbone=dict(drop_path_rate=0.3),
             decode_head=dict(channels=16), auxiliary_head=dict(channels=16))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(batch_size=2, num_workers={workers}, persistent_workers={persistent},
                        dataset=dict(data_root={data!r}, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root={data!r}, indices=2))
train_cfg = dict(max_iters={length}, val_interval=8)
param_scheduler = [dict(type='PolyLR', power=0.9, by_epoch=False, begin=0, end={length})]
default_hooks = dict(logger=dict(interval=1),
                     checkpoint=dict(interval=3, max_keep_ckpts=2, save_best='mIoU'))
"""
# Flips, and the samples of both heads; epochs, in batches of one aspect.
DET = """
_base_ = {base!r}
model = dict(backbone=dict(drop_path_rate=0.3),
             train_cfg=dict(rpn_proposal=dict(nms_pre=50, max_per_img=50),
                            rcnn=dict(sampler=dict(num=16))),
             test_cfg=dict(rpn=dict(nms_pre=20, max_per_img=10), rcnn=dict(max_per_img=5)))
train_dataloader = dict(batch_size=2, num_workers={workers}, persistent_workers={persistent},
                        dataset=dict(data_root={data!r}, indices=6))
val_dataloader = dict(dataset=dict(data_root={data!r}, indices=2))
val_evaluator = dict(ann_file={data!r} + 'annotations/instances_val.json', metric='bbox')
train_cfg = dict(max_epochs={length}, val_interval=2)
param_scheduler = [dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=10)]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1, max_keep_ckpts=1))
"""
CONFIGS = {'seg': (SEG, 'configs/seg/vig_upernet_mini.py'),
           'det': (DET, 'configs/det/vig_maskrcnn_mini.py')}  # fmt: skip


def write_config(
    kind: str, place: Path, data: Path, length: int, workers: int = 0, persistent: bool = False
) -> Path:
    """A training of `length` iterations (seg) or epochs (det) on the mini set at `data`."""
    text, base = CONFIGS[kind]
    path = place / f'{kind}.py'
    path.write_text(
        text.format(
            base=str(ROOT / base),
            data=f'{data}/',
            length=length,
            workers=workers,
            persistent=persistent,
        )  # fmt: skip
    )
    return path


def differences(first: Path, second: Path) -> list[str]:
    """Where the results of two trainings, by their work dirs, are not equal to the last bit."""
    places = []
    names = [{path.name for path in place.glob('*.pth')} for place in (first, second)]
    if names[0] != names[1]:
        places.append(f'checkpoints: {names[0]} and {names[1]}')
    for name in names[0] & names[1]:
        _compare(name, _content(first / name), _content(second / name), places)
    _compare('logs', logs(first), logs(second), places)
    places += [f'left: {path}' for place in (first, second) for path in place.rglob('*.part')]
    return places


def _content(path: Path) -> dict:
    content = checkpoint.read(str(path))
    content['meta'] = {key: content['meta'][key] for key in ('epoch', 'iter', 'seed')}
    hub = content['message_hub']
    content['message_hub'] = {
        'scalars': {
            key: value for key, value in hub['log_scalars'].items() if not key.endswith(TIMES)
        },
        'best': hub['runtime_info'].get('best_score'),
    }
    return content


def logs(place: Path) -> dict[str, dict]:
    """Logged values by iteration or validation; a step that was logged twice must be equal."""
    by_step = {}
    for path in sorted(place.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            try:
                values = json.loads(line)
            except ValueError:
                continue  # cut by a kill
            kind = 'training' if 'iter' in values else 'validation'
            key = f'{kind} {values["step"]}'
            values = {name: value for name, value in values.items() if name not in TIMES}
            assert by_step.setdefault(key, values) == values, f'{key} differs after a resume'
    return by_step


def _compare(where: str, first, second, places: list[str]) -> None:
    if isinstance(first, HistoryBuffer):
        first, second = ([np.asarray(part) for part in buffer.data] for buffer in (first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        if first.keys() != second.keys():
            places.append(f'{where}: keys {sorted(map(str, first.keys() ^ second.keys()))}')
        for key in first.keys() & second.keys():
            _compare(f'{where} {key}', first[key], second[key], places)
    elif isinstance(first, list | tuple) and len(first) == len(second):
        for i, pair in enumerate(zip(first, second, strict=True)):
            _compare(f'{where} {i}', *pair, places)
    elif isinstance(first, torch.Tensor):
        if not torch.equal(first, second):
            places.append(where)
    elif isinstance(first, np.ndarray):
        if not np.array_equal(first, second):
            places.append(where)
    elif first != second:
        places.append(f'{where}: {first} and {second}')
