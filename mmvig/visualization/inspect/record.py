"""One forward pass of a backbone, with the maps, the output and the receptive field of its layers.

A layer is a residual block; its name is the module's, such as `stages.2.blocks.1` (multi-scale
backbones) or `blocks.5` (plain ones).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmvig.models.backbones.base import Backbone
from mmvig.models.layers.block import Block

from .mixers import MIXER_READERS, MixerMaps, read_mixer
from .receptive_field import receptive_field


class Layer(NamedTuple):
    """The maps of a layer's mixer, its output before any norm, and its receptive field."""

    mixer: MixerMaps
    output_YXC: Tensor
    receptive_field_YX: Tensor


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
    """Maps, outputs and receptive fields for the first image of a batch, on the CPU.

    The backbone is left in eval mode.

    Args:
        backbone: a backbone of mmvig.
        image_BCYX: images, preprocessed as in the model.
        layers: names of layers; those of `default_layers` if None.

    Raises:
        ValueError: there is no such layer, or it comes after the last map that is returned.
    """
    names = default_layers(backbone) if layers is None else list(layers)
    known = layer_names(backbone)
    if unknown := set(names) - set(known):
        raise ValueError(f'expected layers of {", ".join(known)}; got {", ".join(sorted(unknown))}')
    backbone.eval()
    image_BCYX = image_BCYX.detach().requires_grad_()
    with Recorder(backbone, names) as recorder, torch.enable_grad():
        backbone(image_BCYX)
    if not_run := [name for name in names if name not in recorder.outputs]:
        raise ValueError(
            f'expected layers that the backbone runs with out_indices={backbone.out_indices}; '
            f'{", ".join(not_run)} comes after them'
        )
    result = {}
    for name in names:
        output_YXC = recorder.output_map(name)
        mixer = backbone.get_submodule(name).mixer
        maps = read_mixer(mixer, recorder.mixer_outputs[name], tuple(output_YXC.shape[:2]))
        field_YX = receptive_field(output_YXC, image_BCYX)
        result[name] = Layer(maps, output_YXC.detach().cpu(), field_YX.cpu())
    return result


class Recorder:
    """Keeps the outputs of layers, and of submodules of their mixers, while a backbone runs.

    Attributes:
        outputs: outputs of the layers by name, in the autograd graph; of those that have run.
        mixer_outputs: for each layer, the outputs that the reader of its mixer asks for.
        grid: rows and columns after the stem, by which plain backbones arrange their tokens.
    """

    def __init__(self, backbone: Backbone, layers: Sequence[str]) -> None:
        self.backbone = backbone
        self.outputs: dict[str, Tensor] = {}
        self.mixer_outputs: dict[str, dict[str, Tensor]] = {name: {} for name in layers}
        self.grid: tuple[int, int] | None = None
        self._hooks = []

    def output_map(self, name: str) -> Tensor:
        """Output of a layer for the first image, [Y, X, C]; a class token is left out."""
        output = self.outputs[name][0]
        if output.dim() == 3:
            return output
        rows, columns = self.grid  # the class token comes after the patches
        return output[: rows * columns].unflatten(0, self.grid)

    def __enter__(self) -> 'Recorder':
        # Recomputation only saves memory, and would run the hooks a second time.
        self._with_cp, self.backbone.with_cp = self.backbone.with_cp, False
        self._hooks.append(self.backbone.stem.register_forward_hook(self._keep_grid))
        for name, outputs in self.mixer_outputs.items():
            block = self.backbone.get_submodule(name)
            self._keep(block, self.outputs, name)
            for part in MIXER_READERS.get(type(block.mixer), ((), None))[0]:
                self._keep(getattr(block.mixer, part), outputs, part)
        return self

    def __exit__(self, *exception) -> None:
        self.backbone.with_cp = self._with_cp
        for hook in self._hooks:
            hook.remove()

    def _keep_grid(self, module, inputs, output: Tensor) -> None:
        self.grid = tuple(output.shape[1:3])

    def _keep(self, module: torch.nn.Module, store: dict[str, Tensor], key: str) -> None:
        def hook(module, inputs, output):
            store[key] = output

        self._hooks.append(module.register_forward_hook(hook))
