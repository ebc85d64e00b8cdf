"""The maps of each kind of mixer, per head, and the reasons why others do not apply to it.

Dimension letters as in mmvig/models/layers/gated_linear_attention.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvig.models.layers.gated_linear_attention import GatedLinearAttention2d
from mmvig.models.layers.key_only_attention import DepthwiseSeparableConv2d, KeyOnlyAttention2d
from mmvig.models.layers.retention import Retention


class MixerMaps(NamedTuple):
    """The maps of one mixer.

    `maps_HYX` holds them by name; `log_decay_H` is set if the decay is a constant per head;
    `not_applicable` has a sentence for each map that a reader may expect and this mixer lacks.
    """

    maps_HYX: dict[str, Tensor]
    log_decay_H: Tensor | None = None
    not_applicable: tuple[str, ...] = ()


def decay_length(g: Tensor, most: float) -> Tensor:
    """Mean decay length of log-decay gates in tokens: mean over the last axis of min(-1/g, most).

    If a key channel had the gate g ≤ 0 everywhere, a token n steps back would keep exp(n·g) of its
    weight, which falls to 1/e over -1/g tokens. The model forgets where lengths are short. A gate
    of 0 never forgets; as no memory is longer than the sequence, each channel is limited to `most`
    tokens.
    """
    return g.abs().reciprocal().clamp(max=most).mean(-1)


def _gated(
    mixer: GatedLinearAttention2d, outputs: dict[str, Tensor], grid: tuple[int, int]
) -> MixerMaps:
    """Decay lengths of both gates, and the injection gate G, mean over a head's channels.

    g = logsigmoid(gate_up(…)) / 16, forward gates first; G = sigmoid(inject_gate(…)) is the weight
    of the global path, 1 - G that of the local map.
    """
    gates_TX = F.logsigmoid(outputs['gate_up'][0]) / mixer.GATE_NORMALIZER
    tokens = len(gates_TX)
    maps = {}
    for name, gate_TX in zip(('forward', 'backward'), gates_TX.chunk(2, dim=-1), strict=True):
        length_TH = decay_length(gate_TX.unflatten(-1, (mixer.heads, -1)), tokens)
        maps[f'decay {name}'] = length_TH.T.unflatten(1, grid)
    inject_YXHV = outputs['inject_gate'][0].sigmoid().unflatten(-1, (mixer.heads, -1))
    maps['injection'] = inject_YXHV.mean(-1).permute(2, 0, 1)
    return MixerMaps(maps)


def _retention(mixer: Retention, outputs: dict[str, Tensor], grid: tuple[int, int]) -> MixerMaps:
    """One decay γ per head, the same at all positions and for every image."""
    not_applicable = (
        'no gates: the decay of retention is a constant per head, the same everywhere',
        'no injection gate: retention has no local map',
    )
    return MixerMaps({}, mixer.log_decay, not_applicable)


def _key_only(
    mixer: KeyOnlyAttention2d, outputs: dict[str, Tensor], grid: tuple[int, int]
) -> MixerMaps:
    """The saliency gate a_s per head, and the share of the global context that a token takes.

    a = sigmoid(saliency(…)) weighs a token in both averages; sigmoid(key(…)), mean over a head's
    channels, is the factor on the global context.
    """
    saliency_HYX = outputs['saliency'][0].sigmoid().permute(2, 0, 1)
    taken_YXHV = outputs['key'][0].sigmoid().unflatten(-1, (mixer.heads, -1))
    maps = {'saliency': saliency_HYX, 'global share': taken_YXHV.mean(-1).permute(2, 0, 1)}
    not_applicable = (
        'no decay: key-only attention averages over the whole image and forgets nothing',
        'no injection gate: local and global context are added; "global share" is the factor on '
        'the global one',
    )
    return MixerMaps(maps, not_applicable=not_applicable)


def _convolution(mixer: nn.Module, outputs: dict[str, Tensor], grid: tuple[int, int]) -> MixerMaps:
    return MixerMaps(
        {}, not_applicable=('no gates of any kind: this block mixes by a 3×3 convolution',)
    )


# By class: the submodules whose outputs are read, and the reader.
MIXER_READERS: dict[type[nn.Module], tuple[tuple[str, ...], Callable[..., MixerMaps]]] = {
    GatedLinearAttention2d: (('gate_up', 'inject_gate'), _gated),
    Retention: ((), _retention),
    KeyOnlyAttention2d: (('saliency', 'key'), _key_only),
    DepthwiseSeparableConv2d: ((), _convolution),
}


@torch.no_grad()
def read_mixer(mixer: nn.Module, outputs: dict[str, Tensor], grid: tuple[int, int]) -> MixerMaps:
    """The maps of a mixer for the first image of a batch, on the CPU.

    Args:
        mixer: a mixer of a class in `MIXER_READERS`.
        outputs: outputs of the mixer's submodules that `MIXER_READERS` names.
        grid: rows and columns of the layer's map.

    Raises:
        TypeError: the mixer's class is not in `MIXER_READERS`.
    """
    if type(mixer) not in MIXER_READERS:
        known = ', '.join(cls.__name__ for cls in MIXER_READERS)
        raise TypeError(f'expected a mixer of {known}; got {type(mixer).__name__}')
    maps = MIXER_READERS[type(mixer)][1](mixer, outputs, grid)
    decay_H = maps.log_decay_H
    return maps._replace(
        maps_HYX={name: x.float().cpu() for name, x in maps.maps_HYX.items()},
        log_decay_H=None if decay_H is None else decay_H.cpu(),
    )
