"""`make demo`, with a config of two steps."""

import json
from pathlib import Path

import cv2
import pytest

from tools import demo

CONFIG = """
_base_ = '{root}/configs/det/vig_maskrcnn_mini.py'
train_cfg = dict(max_epochs=1, val_interval=1)
train_dataloader = dict(dataset=dict(indices=8))
val_dataloader = dict(dataset=dict(indices=4))
test_dataloader = dict(dataset=dict(indices=4))
default_hooks = dict(logger=dict(interval=1))
"""


@pytest.mark.slow
def test_two_processes_take_half_of_each_batch(tmp_path, monkeypatch):
    (tmp_path / 'tools').symlink_to(demo.ROOT / 'tools')
    (tmp_path / 'short.py').write_text(CONFIG.format(root=demo.ROOT))
    _, name, keys = demo.TASKS['det']
    monkeypatch.setattr(demo, 'ROOT', tmp_path)
    monkeypatch.setattr(demo, 'TASKS', {'det': ('short.py', name, keys)})
    monkeypatch.setattr(demo, 'cpu_cores', lambda: 2)
    demo.main([])
    work = tmp_path / 'work_dirs/demo'
    (log,) = work.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in Path(log).read_text().splitlines()]
    steps = [line['iter'] for line in lines if 'loss' in line]
    assert steps == [1, 2], 'of 4 images, each of 8 once'
    assert json.loads((work / 'metrics.json').read_text()).keys() == {*keys, 'seconds'}
    assert cv2.imread(str(work / 'predictions/sheet.png')) is not None
