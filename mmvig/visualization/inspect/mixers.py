"""What each kind of mixer shows of itself: maps per head, constants, and what it does not have.

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


class Sight(NamedTuple):
    """What is seen in one mixer.

    `maps_HYX` by name; `log_decay_H` if the decay is a constant per head; `absent` has a sentence
    for each thing that a reader may look for and this mixer does not have.
    """

    maps_HYX: dict[str, Tensor]
    log_decay_H: Tensor | None = None
    absent: tuple[str, ...] = ()


def decay_length(g: Tensor, most: float) -> Tensor:
    """Mean decay length of log-decay gates in tokens: mean over the last axis of min(-1/g, most).

    If the gate g ≤ 0 of a key channel held everywhere, what was stored n tokens ago would count
    exp(n·g) of its weight, so it falls to 1/e over -1/g tokens. Short lengths are where the model
    forgets. A gate of 0 never forgets; no memory is longer than the sequence, hence `most`, in
    tokens, for each channel.
    """
    return g.abs().reciprocal().clamp(max=most).mean(-1)


def _gated(mixer: GatedLinearAttention2d, seen: dict[str, Tensor], grid: tuple[int, int]) -> Sight:
    """Decay lengths of both gates, and the injection gate G, mean over a head's channels.

    g = logsigmoid(gate_up(…)) / 16, forward gates first; G = sigmoid(inject_gate(…)) is the weight
    of the global path, 1 - G that of the local map.
    """
    gates_TX = F.logsigmoid(seen['gate_up'][0]) / mixer.GATE_NORMALIZER
    tokens = len(gates_TX)
    maps = {}
    for name, gate_TX in zip(('forward', 'backward'), gates_TX.chunk(2, dim=-1), strict=True):
        length_TH = decay_length(gate_TX.unflatten(-1, (mixer.heads, -1)), tokens)
        maps[f'decay {name}'] = length_TH.T.unflatten(1, grid)
    inject_YXHV = seen['inject_gate'][0].sigmoid().unflatten(-1, (mixer.heads, -1))
    maps['injection'] = inject_YXHV.mean(-1).permute(2, 0, 1)
    return Sight(maps)


def _retention(mixer: Retention, seen: dict[str, Tensor], grid: tuple[int, int]) -> Sight:
    """One decay γ per head, the same at all positions and for every image."""
    absent = (
        'no gates: the decay of retention is a constant per head, the same everywhere',
        'no injection gate: retention has no local map',
    )
    return Sight({}, mixer.log_decay, absent)


def _key_only(mixer: KeyOnlyAttention2d, seen: dict[str, Tensor], grid: tuple[int, int]) -> Sight:
    """The saliency gate a_s per head, and what a token takes of the global context.

    a = sigmoid(saliency(…)) weighs a token in both averages; sigmoid(key(…)), mean over a head's
    channels, is the factor on the global context.
    """
    saliency_HYX = seen['saliency'][0].sigmoid().permute(2, 0, 1)
    taken_YXHV = seen['key'][0].sigmoid().unflatten(-1, (mixer.heads, -1))
    maps = {'saliency': saliency_HYX, 'global share': taken_YXHV.mean(-1).permute(2, 0, 1)}
    absent = (
        'no decay: key-only attention averages over the whole image and forgets nothing',
        'no injection gate: local and global context are added; "global share" is the factor on '
        'the global one',
    )
    return Sight(maps, absent=absent)


def _convolution(mixer: nn.Module, seen: dict[str, Tensor], grid: tuple[int, int]) -> Sight:
    return Sight({}, absent=('no gates of any kind: this block mixes by a 3×3 convolution',))


# By class: the submodules whose outputs are read, and the reader.
READERS: dict[type[nn.Module], tuple[tuple[str, ...], Callable[..., Sight]]] = {
    GatedLinearAttention2d: (('gate_up', 'inject_gate'), _gated),
    Retention: ((), _retention),
    KeyOnlyAttention2d: (('saliency', 'key'), _key_only),
    DepthwiseSeparableConv2d: ((), _convolution),
}


@torch.no_grad()
def read(mixer: nn.Module, seen: dict[str, Tensor], grid: tuple[int, int]) -> Sight:
    """What a mixer shows of the first image of a batch, on the CPU.

    Args:
        mixer: of a class in `READERS`.
        seen: outputs of the mixer's submodules that `READERS` names.
        grid: rows and columns of the layer's map.

    Raises:
        TypeError: nothing is known of this class.
    """
    if type(mixer) not in READERS:
        known = ', '.join(cls.__name__ for cls in READERS)
        raise TypeError(f'expected a mixer of {known}; got {type(mixer).__name__}')
    sight = READERS[type(mixer)][1](mixer, seen, grid)
    decay_H = sight.log_decay_H
    return sight._replace(
        maps_HYX={name: x.float().cpu() for name, x in sight.maps_HYX.items()},
        log_decay_H=None if decay_H is None else decay_H.cpu(),
    )
