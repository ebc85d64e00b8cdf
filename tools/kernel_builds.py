"""What the Triton backend would launch, without a GPU: for ahead-of-time builds and tests.

A launch is recorded instead of run. Building one asks Triton for the kernel it would run on a chip,
by Triton's own way from arguments to compiled kernels: launches that share one there share it here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import torch
from triton.backends.compiler import GPUTarget
from triton.compiler import CompiledKernel
from triton.runtime import jit
from triton.runtime.jit import JITFunction

from mmvig.kernels import triton as triton_backend
from mmvig.kernels.shapes import Shape


class Launch(NamedTuple):
    """One kernel with the keyword arguments and the grid it would be launched with."""

    kernel: JITFunction
    arguments: dict[str, Any]
    grid: tuple[int, ...] = (1,)

    @property
    def name(self) -> str:
        suffixes = {True: ' of keys', False: ' of queries', None: ''}
        states = ' with states' if self.arguments.get('STATES') else ''
        return self.kernel.__name__ + suffixes[self.arguments.get('OF_KEYS')] + states

    def build(self, capability: int) -> CompiledKernel:
        """The kernel for a GPU of this compute capability (80, 90, …), compiled on first use."""
        chip = SimpleNamespace(
            # Triton keeps compiled kernels by the number of the device.
            get_current_device=lambda: capability,
            get_current_stream=lambda device: 0,
            get_current_target=lambda: GPUTarget('cuda', capability, 32),
        )
        with mock.patch.object(jit, 'driver', SimpleNamespace(active=chip)):
            return self.kernel.warmup(grid=(1,), **self.arguments)


class _Recorder(NamedTuple):
    """Stands in for a kernel; `recorder[grid](…)` records the launch."""

    kernel: JITFunction
    launches: list[Launch]

    def __getitem__(self, grid):
        return lambda **arguments: self.launches.append(Launch(self.kernel, arguments, grid))


@contextmanager
def recorded() -> Iterator[list[Launch]]:
    """Within this context the backend takes CPU tensors and records instead of launching."""
    launches: list[Launch] = []
    kernels = {
        name: kernel
        for name, kernel in vars(triton_backend).items()
        if name.startswith('bi_gla_kernel_')
    }
    if not all(isinstance(kernel, JITFunction) for kernel in kernels.values()):
        raise RuntimeError('only compiled kernels can be recorded: unset TRITON_INTERPRET')
    recorders = {name: _Recorder(kernel, launches) for name, kernel in kernels.items()}
    with mock.patch.multiple(triton_backend, INTERPRETED=True, **recorders):
        yield launches


def launches_of(
    shape: Shape,
    dtype: torch.dtype,
    directions: str = 'both',
    states: bool = False,
    logits: bool = True,
) -> list[Launch]:
    """All launches of a forward and backward pass as the mixer calls it, or, where `states` come
    and go, of a forward pass.

    q, k and v are slices of one projection in `dtype`, the gates' logits of another; without
    `logits`, gates in float32.
    """
    B, T, H, K, V = shape
    qkv = torch.empty(B, T, H * (2 * K + V), dtype=dtype)
    q, k, v = qkv.split((H * K, H * K, H * V), dim=-1)
    q, k, v = (x.unflatten(-1, (H, -1)) for x in (q, k, v))
    gates = torch.empty(B, T, 2 * H * K, dtype=dtype if logits else torch.float32)
    g_fwd, g_bwd = (x.unflatten(-1, (H, -1)) for x in gates.chunk(2, dim=-1))
    normalizer = 16.0 if logits else None
    args = (q, k, v, None if directions == 'bwd' else g_fwd, None if directions == 'fwd' else g_bwd)
    with recorded() as launches:
        if states:
            triton_backend.triton_states(*args, None, None, 1.0, normalizer)
        else:
            triton_backend.triton_forward(*args, 1.0, normalizer)
            triton_backend.triton_backward(
                torch.empty(v.shape, dtype=dtype), *args, 1.0, normalizer
            )
    return launches
