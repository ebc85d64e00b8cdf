"""Necks as graphs of maps: mmdet's (and mmseg's) FPN, and the simple feature pyramid."""

from collections.abc import Sequence

from torch import nn

from mmvig.models.necks import SimpleFeaturePyramid

from .convolution import layer
from .errors import StreamingError
from .maps import Map, Sum
from .resizing import Bilinear, Nearest


def neck_maps(neck: nn.Module, maps: Sequence[Map]) -> list[Map]:
    """The maps that a neck makes of a backbone's; they are computed when read.

    Raises:
        StreamingError: the neck, or a setting of it, cannot be run on rows.
    """
    if type(neck) is SimpleFeaturePyramid:
        return _simple_feature_pyramid(neck, maps)
    if type(neck).__name__ == 'FPN':  # of either library, of which neither has to be installed
        return _fpn(neck, maps)
    raise StreamingError(
        f'expected a neck FPN or SimpleFeaturePyramid, or none; got {type(neck).__name__}'
    )


def _simple_feature_pyramid(neck: SimpleFeaturePyramid, maps: Sequence[Map]) -> list[Map]:
    inputs = (maps if len(maps) == 4 else list(maps) * 4)[neck.start_level :]
    found = [layer(one, level) for level, one in zip(neck.levels, inputs, strict=True)]
    for step in neck.extra:
        found.append(layer(found[-1], step))
    return found


def _fpn(neck: nn.Module, maps: Sequence[Map]) -> list[Map]:
    laterals = [
        layer(maps[i + neck.start_level], conv) for i, conv in enumerate(neck.lateral_convs)
    ]
    for i in range(len(laterals) - 1, 0, -1):
        size = laterals[i - 1].shape[:2]
        laterals[i - 1] = Sum(laterals[i - 1], resized(laterals[i], size, neck.upsample_cfg))
    convs = list(neck.fpn_convs)
    outs = [layer(one, conv) for one, conv in zip(laterals, convs, strict=False)]
    if neck.num_outs > len(outs) and not neck.add_extra_convs:
        for _ in range(neck.num_outs - len(outs)):
            outs.append(layer(outs[-1], nn.MaxPool2d(1, stride=2)))
        return outs
    sources = {
        'on_input': maps[neck.backbone_end_level - 1],
        'on_lateral': laterals[-1],
        'on_output': outs[-1],
    }
    source = sources.get(neck.add_extra_convs)
    for conv in convs[len(outs) :]:
        outs.append(layer(source, conv))
        source = layer(outs[-1], nn.ReLU()) if neck.relu_before_extra_convs else outs[-1]
    return outs


def resized(source: Map, size: tuple[int, int], options: dict) -> Map:
    """`torch.nn.functional.interpolate` of a map with these options."""
    options = dict(options)
    mode = options.pop('mode', 'nearest')
    align_corners = options.pop('align_corners', None) or False
    if options or mode not in ('nearest', 'bilinear'):
        raise StreamingError(
            f"expected up-sampling to a size, mode 'nearest' or 'bilinear'; got {mode!r}, {options}"
        )
    return Nearest(source, size) if mode == 'nearest' else Bilinear(source, size, align_corners)
