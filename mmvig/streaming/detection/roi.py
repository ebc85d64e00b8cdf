"""mmdet's RoI heads on maps that are read a window at a time."""

import copy
import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmvig.streaming.errors import StreamingError
from mmvig.streaming.maps import Map

from .windows import Window, group_regions, read_window

HEADS = ('StandardRoIHead', 'CascadeRoIHead')
OUTPUTS = ('cls_score', 'bbox_pred', 'mask_preds')  # of the features nothing is kept
SHARE = 4  # of the memory, for a window; as much again while it is read


def on_maps(roi_head: nn.Module, maps: list[Map], memory_bytes: int) -> nn.Module:
    """A twin of a RoI head, with the same parts, that reads maps where it is given a tuple of them.

    Its `predict_bbox` and `predict_mask` are mmdet's.

    Raises:
        StreamingError: it is another RoI head, or reads maps in another way than RoIAlign on one
            level for each region.
    """
    _check(roi_head)
    twin = copy.copy(roi_head)
    twin._modules = dict(roi_head._modules)
    for kind in ('bbox', 'mask'):
        extractors = getattr(roi_head, f'{kind}_roi_extractor', None)
        if getattr(roi_head, f'with_{kind}') and extractors is not None:
            method = getattr(roi_head, f'_{kind}_forward')
            setattr(twin, f'_{kind}_forward', _ByWindows(method, extractors, maps, memory_bytes))
    return twin


class _ByWindows:
    """`_bbox_forward` or `_mask_forward` of a RoI head, for the regions of one window at a time."""

    def __init__(
        self, method: Callable, extractors: nn.Module, maps: list[Map], memory_bytes: int
    ) -> None:
        self._method, self._extractors, self._maps = method, extractors, maps
        self._signature = inspect.signature(method)
        self._bytes = max(1, memory_bytes // SHARE)

    def __call__(self, *args, **options) -> dict[str, Tensor]:
        call = self._signature.bind(*args, **options)
        rois_N5 = call.arguments['rois']
        extractor = self._extractors
        if 'stage' in call.arguments:
            extractor = extractor[call.arguments['stage']]
        maps = self._maps[: extractor.num_inputs]
        channels, itemsize = maps[0].shape[2], maps[0].dtype.itemsize
        rois_N5 = rois_N5.to(maps[0].dtype)
        levels_N = extractor.map_roi_levels(rois_N5, len(maps))
        outputs: dict[str, Tensor] = {}
        for window in group_regions(
            rois_N5, levels_N, maps, extractor.featmap_strides, self._bytes // channels // itemsize
        ):
            call.arguments['x'] = self._features(maps, window)
            call.arguments['rois'] = _shifted(rois_N5, window, extractor.featmap_strides)
            part = self._method(*call.args, **call.kwargs)
            for name in OUTPUTS:
                if part.get(name) is not None:
                    if name not in outputs:
                        shape = (len(rois_N5), *part[name].shape[1:])
                        outputs[name] = part[name].new_empty(shape)
                    outputs[name][window.regions] = part[name]
        return outputs

    def _features(self, maps: list[Map], window: Window) -> tuple[Tensor, ...]:
        """The window in the place of its level; of the others nothing is sampled."""
        x_BCYX = read_window(maps[window.level], window, self._bytes)
        nothing = x_BCYX.new_zeros(1, x_BCYX.shape[1], 1, 1)
        return tuple(x_BCYX if i == window.level else nothing for i in range(len(maps)))


def _shifted(rois_N5: Tensor, window: Window, strides: list[int]) -> Tensor:
    """The regions of a window, in pixels from its corner.

    Strides are powers of two, so no number is rounded that was not before.
    """
    x, y = (strides[window.level] * n for n in (window.left, window.top))
    offset = torch.tensor([0, x, y, x, y], dtype=rois_N5.dtype, device=rois_N5.device)
    return rois_N5[window.regions] - offset


def _check(roi_head: nn.Module) -> None:
    name = type(roi_head).__name__
    if name not in HEADS:
        raise StreamingError(f'expected a RoI head {" or ".join(HEADS)}, got {name}')
    for kind in ('bbox', 'mask'):
        found = getattr(roi_head, f'{kind}_roi_extractor', None)
        for extractor in found if isinstance(found, nn.ModuleList) else [found]:
            if extractor is None:
                continue
            layers = {type(layer).__name__ for layer in extractor.roi_layers}
            if type(extractor).__name__ != 'SingleRoIExtractor' or layers != {'RoIAlign'}:
                raise StreamingError(
                    'expected a SingleRoIExtractor of RoIAlign, got '
                    f'{type(extractor).__name__} of {", ".join(sorted(layers))}'
                )
