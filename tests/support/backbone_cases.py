"""The backbones, each in the ways it can be built, for tests that hold for all of them."""

from typing import NamedTuple

from mmvig.models.backbones import LinGlo, MultiScaleViG, PlainViG, ViR
from mmvig.models.backbones.base import Backbone


class Case(NamedTuple):
    """A backbone; `sizes` is an arch dict that compiles fast, `stages` counts its nano's parts."""

    cls: type[Backbone]
    sizes: dict
    stages: int
    options: dict = {}

    def build(self, **kwargs) -> Backbone:
        """The nano backbone, unless told otherwise, with its random weights."""
        model = self.cls(**{'arch': 'nano', **self.options, **kwargs})
        model.init_weights()
        return model

    @property
    def two(self) -> tuple[int, int]:
        """Two of the `out_indices`, the last included."""
        return (1, self.stages - 1)


MULTI_SCALE = dict(channels=(32, 64), depths=(1, 1), heads=(1, 2), hidden=(64, 64))
# The published LayerScale of 1e-5 would hide most of a block from a test.
VIR = dict(layer_scale_init_value=0.5)

CASES = {
    'MultiScaleViG': Case(MultiScaleViG, MULTI_SCALE, 4),
    'LinGlo': Case(LinGlo, MULTI_SCALE | dict(depths=(2, 2)), 4),
    'PlainViG': Case(PlainViG, dict(channels=64, depth=1, heads=2, hidden=64, activation=True), 6),
    'ViR': Case(ViR, dict(channels=64, depth=1, heads=2), 6, VIR),
    'ViR-bidirectional': Case(
        ViR, dict(channels=64, depth=1, heads=2), 6, VIR | dict(mode='bidirectional')
    ),
}
