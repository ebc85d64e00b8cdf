"""One call of the operator as data: sizes, dtypes, memory layouts, gates, cuts and states."""

from typing import NamedTuple

import torch
from torch import Tensor

from mmvig.kernels.dtypes import compute_dtype


class Layout(NamedTuple):
    """How a tensor [B, T, H, D] lies in memory: the order of its axes from the outermost to the
    innermost, a step and a start on each of them, and axes of stride 0."""

    order: tuple[int, ...] = (0, 1, 2, 3)
    steps: tuple[int, ...] = (1, 1, 1, 1)
    starts: tuple[int, ...] = (0, 0, 0, 0)
    repeated: tuple[int, ...] = ()

    def place(self, shape: tuple[int, ...], draw) -> Tensor:
        """A tensor of this layout; `draw(shape)` gives the values of the memory."""
        sizes = [
            1 if axis in self.repeated else start + step * (size - 1) + 1
            for axis, (size, step, start) in enumerate(
                zip(shape, self.steps, self.starts, strict=True)
            )
        ]
        back = sorted(range(4), key=self.order.__getitem__)
        memory = draw([sizes[axis] for axis in self.order]).permute(back)
        for axis, (step, start) in enumerate(zip(self.steps, self.starts, strict=True)):
            if axis not in self.repeated:
                memory = memory[(slice(None),) * axis + (slice(start, None, step),)]
        return memory.expand(shape)


PLAIN = Layout()


class Case(NamedTuple):
    """A call; numbers are drawn from `seed`. Names in the order of the arguments, `do` last."""

    sizes: dict[str, int]
    directions: str
    dtypes: dict[str, torch.dtype]
    layouts: dict[str, Layout]
    gates: dict[str, str | float]
    magnitudes: dict[str, int]
    gate_normalizer: float | None
    scale: float | None
    seed: int

    def tensors(self, device: str = 'cpu') -> dict[str, Tensor]:
        """q, k, v, the gates that there are, and do, the gradient of the output."""
        rng = torch.Generator().manual_seed(self.seed)
        B, T, H, K, V = self.sizes.values()
        tensors = {}
        for name, dtype in self.dtypes.items():
            shape = (B, T, H, V if name in ('v', 'do') else K)

            def draw(sizes, name=name, dtype=dtype):
                if name in self.gates:
                    logits = self.gate_normalizer is not None
                    values = _gates(self.gates[name], sizes, logits, rng)
                else:
                    values = torch.randn(sizes, generator=rng) * 10.0 ** self.magnitudes[name]
                return values.to(device, dtype)

            tensors[name] = self.layouts[name].place(shape, draw)
        return tensors


def _gates(kind: str | float, sizes, logits: bool, rng) -> Tensor:
    """Gates, or the logits of such gates: of one kind, each of another, or all this number."""
    if isinstance(kind, float):
        return torch.full(sizes, kind)
    exponent = torch.rand(sizes, generator=rng)
    sign = torch.randint(2, sizes, generator=rng) * 2.0 - 1
    infinite = torch.full(sizes, torch.inf)
    if logits:
        kinds = {
            'open': infinite,
            'small': 10 ** (1 + exponent),
            'usual': torch.randn(sizes, generator=rng),
            'large': sign * 10 ** (1 + 3 * exponent),
            'closed': -infinite,
        }
    else:
        kinds = {
            'open': torch.zeros(sizes),
            'small': -(10 ** (-8 + 7 * exponent)),
            'usual': torch.nn.functional.logsigmoid(torch.randn(sizes, generator=rng)) / 16,
            'large': -(10 ** (3 * exponent)),
            'closed': -infinite,
        }
    if kind != 'mixed':
        return kinds[kind]
    choice = torch.randint(len(kinds), sizes, generator=rng)
    return torch.stack(list(kinds.values())).gather(0, choice[None])[0]


class Parts(NamedTuple):
    """Where a sequence is cut, and the states that it begins with in each direction."""

    cuts: tuple[int, ...]
    layouts: dict[str, Layout]
    seed: int

    def initial_states(self, case: Case, device: str = 'cpu') -> dict[str, Tensor]:
        """state_fwd and state_bwd, [B, H, K, V] in the dtype of sums, as large as one token's."""
        rng = torch.Generator().manual_seed(self.seed)
        B, _, H, K, V = case.sizes.values()
        dtype = compute_dtype(*case.tensors().values())
        size = 10.0 ** (case.magnitudes['k'] + case.magnitudes['v'])

        def draw(sizes):
            return (torch.randn(sizes, generator=rng) * size).to(device, dtype)

        return {
            gate.replace('g', 'state'): self.layouts[gate].place((B, H, K, V), draw)
            for gate in case.gates
        }
