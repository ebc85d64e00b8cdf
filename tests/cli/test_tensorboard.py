"""`--tensorboard` beside what the config logs to."""

import pytest
from mmengine.config import Config

from mmvig.cli.train import apply_tensorboard


@pytest.mark.parametrize('backends', [[], ['LocalVisBackend', 'TensorboardVisBackend']])
def test_tensorboard_is_written_once(backends):
    pytest.importorskip('tensorboard')
    visualizer = dict(type='Visualizer', vis_backends=[dict(type=name) for name in backends])
    cfg = Config(dict(visualizer=visualizer))
    apply_tensorboard(cfg, True)
    kinds = [backend.type for backend in cfg.visualizer.vis_backends]
    assert kinds == (backends or ['TensorboardVisBackend'])
