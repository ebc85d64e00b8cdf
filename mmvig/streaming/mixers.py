"""The mixers on a strip: what each has to know of the rows above and below.

A mixer that sees the whole image is run twice over the strips. `gather` goes from the bottom to the
top and hands a state on; `mix` goes from the top to the bottom and hands another one on.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvig.kernels import bi_gla
from mmvig.models.layers.gated_linear_attention import GatedLinearAttention2d
from mmvig.models.layers.key_only_attention import (
    DepthwiseSeparableConv2d,
    KeyOnlyAttention2d,
    global_context,
    global_sums,
)
from mmvig.models.layers.retention import Retention

from .convolution import without_row_padding
from .errors import StreamingError


@dataclass
class Strip:
    """Rows of a map, with rows of its neighbours as far as there are any.

    Attributes:
        x_BYXC: all rows.
        above, below: how many of them belong to the neighbours.
    """

    x_BYXC: Tensor
    above: int = 0
    below: int = 0

    def own(self, x_BYXC: Tensor | None = None) -> Tensor:
        """The strip's own rows, of its map or of another one with as many rows."""
        x_BYXC = self.x_BYXC if x_BYXC is None else x_BYXC
        return x_BYXC[:, self.above : x_BYXC.shape[1] - self.below]

    def padded(self, halo: int) -> Tensor:
        """With zeros for the rows that are missing at the map's borders."""
        missing = halo - self.above, halo - self.below
        return F.pad(self.x_BYXC, (0, 0, 0, 0, *missing)) if any(missing) else self.x_BYXC


class StripMixer(ABC):
    """A mixer that can be run on strips.

    Attributes:
        halo: rows of its neighbours that a strip needs on each side.
        gathered: shape of the state that `gather` hands upwards; None if there is nothing to
            gather.
        carried: shape of the state that `mix` hands downwards; None if there is none.
        reads_total: whether `mix` is given what was gathered of all strips, not of those below.
        state_dtype: of the states; None for that of the op.
    """

    halo: int
    gathered: tuple[int, ...] | None = None
    carried: tuple[int, ...] | None = None
    reads_total = False
    state_dtype: torch.dtype | None = None

    def gather(self, strip: Strip, state: Tensor) -> Tensor:
        """The state above a strip, of the one below it."""
        raise NotImplementedError

    @abstractmethod
    def mix(
        self, strip: Strip, carried: Tensor | None, gathered: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The output [1, rows, X, C] of a strip's own rows, and the state below it."""


class GatedLinearAttention(StripMixer):
    """Both states of the recurrence, and a row on each side for the convolution."""

    halo = 1

    def __init__(self, mixer: GatedLinearAttention2d) -> None:
        self.mixer = without_row_padding(mixer)
        width = mixer.proj.in_features // mixer.heads
        self.gathered = self.carried = (1, mixer.heads, mixer.key_channels // mixer.heads, width)

    def gather(self, strip: Strip, state: Tensor) -> Tensor:
        local_BYXC = self.mixer.local_map(strip.padded(self.halo))
        q, k, v, _, g_bwd = self.mixer.project(local_BYXC.flatten(1, 2))
        _, (_, state) = self.mixer.global_attention(
            q, k, v, None, g_bwd, initial_states=(None, state), return_states=True
        )
        return state

    def mix(self, strip: Strip, carried: Tensor, gathered: Tensor) -> tuple[Tensor, Tensor]:
        local_BYXC = self.mixer.local_map(strip.padded(self.halo))
        global_BTHV, (carried, _) = self.mixer.global_attention(
            *self.mixer.project(local_BYXC.flatten(1, 2)),
            initial_states=(carried, gathered),
            return_states=True,
        )
        return self.mixer.inject(global_BTHV, local_BYXC), carried


class StripRetention(StripMixer):
    """The state of each direction; no neighbours."""

    halo = 0

    def __init__(self, mixer: Retention) -> None:
        self.mixer = mixer
        width = mixer.proj.in_features // mixer.heads
        self.carried = (1, mixer.heads, width, width)
        self.gathered = self.carried if mixer.bidirectional else None

    def gather(self, strip: Strip, state: Tensor) -> Tensor:
        q, k, v = self.mixer._heads(strip.x_BYXC.flatten(1, 2))
        _, (_, state) = bi_gla(
            q, k, v, None, self._gate(k), initial_states=(None, state), return_states=True,
            backend=self.mixer.backend,
        )  # fmt: skip
        return state

    def mix(self, strip: Strip, carried: Tensor, gathered: Tensor | None) -> tuple[Tensor, Tensor]:
        q, k, v = self.mixer._heads(strip.x_BYXC.flatten(1, 2))
        gate = self._gate(k)
        o_BTHV, (carried, _) = bi_gla(
            q, k, v, gate, None if gathered is None else gate, return_states=True,
            initial_states=(carried, gathered), backend=self.mixer.backend,
        )  # fmt: skip
        return self.mixer.proj(o_BTHV.flatten(2)).view(strip.x_BYXC.shape), carried

    def _gate(self, k_BTHK: Tensor) -> Tensor:
        return self.mixer.log_decay[:, None].expand(k_BTHK.shape)


class KeyOnlyAttention(StripMixer):
    """Sums over the image, and the rows that the local window reaches."""

    reads_total = True
    state_dtype = torch.float64  # sums over so many tokens

    def __init__(self, mixer: KeyOnlyAttention2d) -> None:
        self.mixer = mixer
        self.halo = mixer.window // 2
        self.gathered = (1, mixer.heads, mixer.proj.in_features // mixer.heads + 1)

    def gather(self, strip: Strip, state: Tensor) -> Tensor:
        _, gate, value = self.mixer.project(strip.own())
        total_BHV, weight_BH = global_sums(gate, value)
        return state + torch.cat([total_BHV, weight_BH[..., None]], dim=-1)

    def mix(self, strip: Strip, carried: None, gathered: Tensor) -> tuple[Tensor, None]:
        key, gate, value = self.mixer.project(strip.x_BYXC)
        context = global_context(gathered[..., :-1], gathered[..., -1]).to(value.dtype)
        return strip.own(self.mixer.read(key, gate, value, context)), None


class DepthwiseSeparableConv(StripMixer):
    """A row of the neighbours on each side; nothing global."""

    halo = 1

    def __init__(self, mixer: DepthwiseSeparableConv2d) -> None:
        self.mixer = without_row_padding(mixer)

    def mix(self, strip: Strip, carried: None, gathered: None) -> tuple[Tensor, None]:
        return self.mixer(strip.padded(self.halo)), None


_MIXERS: dict[type[nn.Module], type[StripMixer]] = {
    GatedLinearAttention2d: GatedLinearAttention,
    Retention: StripRetention,
    KeyOnlyAttention2d: KeyOnlyAttention,
    DepthwiseSeparableConv2d: DepthwiseSeparableConv,
}


def strip_mixer(mixer: nn.Module) -> StripMixer:
    """How a mixer is run on strips.

    Raises:
        StreamingError: nobody has written that for this mixer.
    """
    if type(mixer) not in _MIXERS:
        names = ', '.join(kind.__name__ for kind in _MIXERS)
        raise StreamingError(f'expected a mixer among {names}; got {type(mixer).__name__}')
    return _MIXERS[type(mixer)](mixer)
