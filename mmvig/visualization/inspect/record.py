"""One forward pass of a backbone, with what its layers show.

A layer is a residual block; its name is the module's, such as `stages.2.blocks.1` (multi-scale
backbones) or `blocks.5` (plain ones).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmvig.models.backbones.base import Backbone
from mmvig.models.layers.block import Block

from .mixers import READERS, Sight, read
from .receptive_field import receptive_field


class Layer(NamedTuple):
    """What a layer shows: its mixer, its output (before any norm), its receptive field."""

    sight: Sight
    output_YXC: Tensor
    field_YX: Tensor


def layer_names(backbone: Backbone) -> list[str]:
    """Names of all layers, in the order in which they run."""
    return [name for name, module in backbone.named_modules() if isinstance(module, Block)]


def default_layers(backbone: Backbone) -> list[str]:
    """The last layer of every stage; of a plain backbone those after each third of the blocks."""
    names = layer_names(backbone)
    if not hasattr(backbone, 'stages'):
        return [names[-(-len(names) * i // 3) - 1] for i in (1, 2, 3)]
    last = {name.rpartition('.')[0]: name for name in names}
    return list(last.values())


def record(
    backbone: Backbone, image_BCYX: Tensor, layers: Sequence[str] | None = None
) -> dict[str, Layer]:
    """What the layers show of the first image of a batch, on the CPU; leaves eval mode behind.

    Args:
        backbone: one of ours.
        image_BCYX: preprocessed as in the model.
        layers: names of layers; those of `default_layers` if None.

    Raises:
        ValueError: there is no such layer, or it comes after the last map that is returned.
    """
    names = layer_names(backbone)
    wanted = default_layers(backbone) if layers is None else list(layers)
    if unknown := set(wanted) - set(names):
        raise ValueError(f'expected layers of {", ".join(names)}; got {", ".join(sorted(unknown))}')
    backbone.eval()
    outputs, seen, grids, hooks = {}, {name: {} for name in wanted}, [], []

    def keep(store: dict | list, key: str | None = None):
        def hook(module, inputs, output):
            if key is None:
                store.append(tuple(output.shape[1:3]))
            else:
                store[key] = output

        return hook

    hooks.append(backbone.stem.register_forward_hook(keep(grids)))
    for name in wanted:
        block = backbone.get_submodule(name)
        hooks.append(block.register_forward_hook(keep(outputs, name)))
        for part in READERS.get(type(block.mixer), ((), None))[0]:
            hooks.append(getattr(block.mixer, part).register_forward_hook(keep(seen[name], part)))
    # Recomputation would run the hooks again, and only saves memory.
    with_cp, backbone.with_cp = backbone.with_cp, False
    image_BCYX = image_BCYX.detach().requires_grad_()
    try:
        with torch.enable_grad():
            backbone(image_BCYX)
    finally:
        backbone.with_cp = with_cp
        for hook in hooks:
            hook.remove()
    if left := [name for name in wanted if name not in outputs]:
        raise ValueError(
            f'expected layers that the backbone runs with out_indices={backbone.out_indices}; '
            f'{", ".join(left)} comes after them'
        )
    found = {}
    for name in wanted:
        output_YXC = _as_map(outputs[name][0], grids[0])
        sight = read(backbone.get_submodule(name).mixer, seen[name], tuple(output_YXC.shape[:2]))
        field_YX = receptive_field(output_YXC, image_BCYX)
        found[name] = Layer(sight, output_YXC.detach().cpu(), field_YX.cpu())
    return found


def _as_map(output: Tensor, grid: tuple[int, int]) -> Tensor:
    """A map as it is; of a sequence the patches, without the class token behind them."""
    if output.dim() == 3:
        return output
    return output[: grid[0] * grid[1]].unflatten(0, grid)
