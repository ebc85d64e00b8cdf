"""A block over a map, strip by strip: states upwards, then outputs downwards."""

import torch
from torch import Tensor

from mmvig.models.layers.block import Block

from .maps import Map, pixels
from .mixers import Strip, strip_mixer
from .plan import Plan
from .storage import StoredMap

# Numbers that a block has in memory at a time, for each one of its input: measured.
COPIES = 12
# Its time besides products of matrices, in multiply-adds for each number of its input.
POINTWISE = 500


class BlockPasses:
    """The one or two passes of a block over a stored map; `output` is what they write.

    The states at all borders between strips are stored, so that every step can be done again: row
    i of `below` is the state that strip i - 1 has from below, and row i of `above` the one that
    strip i has from above.

    Args:
        plan: gets the passes.
        block: with a mixer that can be run on strips.
        source: the block's input.
        name: of the output.
        token: a map of one position that follows the last row, as ViR's class token does. Its
            output is `token_output`.
    """

    def __init__(
        self, plan: Plan, block: Block, source: Map, name: str, token: StoredMap | None = None
    ) -> None:
        self.block, self.source, self.token = block, source, token
        self.mixer = strip_mixer(block.mixer)
        working = COPIES * source.row_bytes
        self.strips = plan.strips(*source.shape[:2], source, working=working)
        self.output = plan.store(name, source.shape)
        self.token_output = plan.store(f'{name}.token', (1, 1, source.shape[2])) if token else None
        self.below = self._states(plan, f'{name}.below', self.mixer.gathered)
        self.above = self._states(plan, f'{name}.above', self.mixer.carried)
        size = sum(p.numel() for p in block.parameters()) + POINTWISE * source.shape[2]
        work = pixels(source) * size
        reads = [source, *([token] if token else [])]
        count = len(self.strips)
        if self.below:
            part = pixels(source) * sum(p.numel() for p in block.mixer.parameters())
            plan.add(f'{name}.gather', count, self._gather, reads, [self.below], part)
            reads.append(self.below)
        written = [m for m in (self.output, self.above, self.token_output) if m]
        plan.add(name, count + bool(token), self._mix, reads, written, work)

    def _states(self, plan: Plan, name: str, shape: tuple[int, ...] | None) -> StoredMap | None:
        if shape is None:
            return None
        dtype = self.mixer.state_dtype or torch.promote_types(plan.like.dtype, torch.float32)
        rows = len(self.strips) + 1
        return plan.store(name, (rows, 1, int(torch.Size(shape).numel())), dtype)

    def _gather(self, step: int) -> None:
        number = len(self.strips) - 1 - step
        if step == 0:
            state = torch.zeros(self.mixer.gathered, dtype=self.below.dtype)
            state = state.to(self.below.device)
            if self.token:
                state = self.mixer.gather(self._normed_token(), state)
            self._put(self.below, number + 1, state)
        state = self._get(self.below, number + 1, self.mixer.gathered)
        self._put(self.below, number, self.mixer.gather(self._strip(number)[0], state))

    def _mix(self, step: int) -> None:
        if step == len(self.strips):
            self._mix_token()
            return
        if step == 0 and self.above:
            state = torch.zeros(self.mixer.carried, dtype=self.above.dtype)
            self._put(self.above, 0, state)
        carried = self._get(self.above, step, self.mixer.carried) if self.above else None
        gathered = None
        if self.below:
            row = 0 if self.mixer.reads_total else step + 1
            gathered = self._get(self.below, row, self.mixer.gathered)
        strip, x_BYXC = self._strip(step)
        mixed_BYXC, carried = self.mixer.mix(strip, carried, gathered)
        if self.above:
            self._put(self.above, step + 1, carried)
        self.output.write(self.strips[step][0], self.block.merge(x_BYXC, mixed_BYXC))

    def _mix_token(self) -> None:
        """The token comes after all strips, and nothing after it."""
        carried = self._get(self.above, len(self.strips), self.mixer.carried)
        gathered = torch.zeros_like(carried) if self.below else None
        mixed_BYXC, _ = self.mixer.mix(self._normed_token(), carried, gathered)
        self.token_output.write(0, self.block.merge(self.token.rows(0, 1), mixed_BYXC))

    def _strip(self, number: int) -> tuple[Strip, Tensor]:
        """A strip of norm1(x) with its neighbours' rows, and of x without."""
        top, bottom = self.strips[number]
        first = max(top - self.mixer.halo, 0)
        last = min(bottom + self.mixer.halo, self.source.shape[0])
        x_BYXC = self.source.rows(first, last)
        strip = Strip(self.block.norm1(x_BYXC), top - first, last - bottom)
        return strip, strip.own(x_BYXC)

    def _normed_token(self) -> Strip:
        return Strip(self.block.norm1(self.token.rows(0, 1)))

    @staticmethod
    def _put(states: StoredMap, row: int, state: Tensor) -> None:
        states.write(row, state.reshape(1, 1, 1, -1))

    @staticmethod
    def _get(states: StoredMap, row: int, shape: tuple[int, ...]) -> Tensor:
        return states.rows(row, row + 1).reshape(shape)
