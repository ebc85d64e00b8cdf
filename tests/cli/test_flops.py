"""Counted operations against the figures of the official code."""

import pytest
from mmengine.config import Config

from mmvig.engine.flops import count_flops

# GMACs at 224×224 with the classification head: torch's counter on the official code, which leaves
# the recurrence out, and the recurrence by formula.
OFFICIAL = {
    'cls/vig_imagenet.py': (4.408, 0.09),
    'cls/vig-s_imagenet.py': (8.607, 0.14),
    'cls/vig-b_imagenet.py': (15.364, 0.19),
    'cls/vig-plain_imagenet.py': (1.110, 0.06),
    'cls/vig-plain-s_imagenet.py': (4.366, 0.12),
    'cls/vig-plain-b_imagenet.py': (17.315, 0.23),
}


@pytest.mark.parametrize('config', OFFICIAL)
def test_classifiers(config, root):
    counts = count_flops(Config.fromfile(root / 'configs' / config), (224, 224))
    layers, op = OFFICIAL[config]
    assert (counts['macs'] - counts['op_macs']) / 1e9 == pytest.approx(layers, rel=1e-3)
    assert counts['op_macs'] / 1e9 == pytest.approx(op, abs=0.006)


def test_backbone_under_a_segmentor(root):
    """The official backbone counts 23.02 GMACs at 512×512 without the recurrence, 23.5 with it."""
    cfg = Config.fromfile(root / 'configs/seg/vig_upernet.py')
    cfg.model.decode_head.channels = cfg.model.auxiliary_head.channels = 32  # for speed
    counts = count_flops(cfg, (512, 512))
    backbone = counts['parts']['backbone']
    assert (backbone['macs'] - counts['op_macs']) / 1e9 == pytest.approx(23.02, rel=1e-3)
    assert backbone['macs'] / 1e9 == pytest.approx(23.5, rel=1e-2)
    assert backbone['parameters'] == pytest.approx(27.83e6, rel=1e-3)
    assert counts['macs'] == sum(part['macs'] for part in counts['parts'].values())


def test_cost_is_linear_in_the_pixels(root):
    cfg = Config.fromfile(root / 'configs/det/vig_maskrcnn_mini.py')
    small, large = (
        count_flops(cfg, shape)['parts']['backbone'] for shape in ((128, 128), (256, 512))
    )
    assert large['macs'] == 8 * small['macs']
