"""What the Triton backend would launch, without a GPU: for ahead-of-time builds and tests.

A launch is recorded instead of run; its arguments give the signature, the compile-time constants
and the key under which Triton caches the compiled kernel.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import CUDABackend
from triton.compiler import ASTSource, CompiledKernel
from triton.runtime.jit import JITFunction, create_function_from_signature

from . import triton_op
from .shapes import Shape

_OPTIONS = ('num_warps', 'num_stages')
_TYPES = {torch.float32: '*fp32', torch.bfloat16: '*bf16', torch.float16: '*fp16'}


class Launch(NamedTuple):
    """One kernel with the keyword arguments it would be launched with."""

    kernel: JITFunction
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        keys = {True: ' of keys', False: ' of queries', None: ''}
        return self.kernel.__name__ + keys[self.arguments.get('OF_KEYS')]

    def _constants(self) -> dict[str, Any]:
        names = [p.name for p in self.kernel.params if p.is_constexpr]
        return {name: self.arguments[name] for name in names}

    def options(self) -> dict[str, int]:
        return {name: self.arguments[name] for name in _OPTIONS if name in self.arguments}

    def cache_key(self, capability: int = 90) -> str:
        """What decides whether Triton compiles anew: types, constants, specialisations, options."""
        backend = CUDABackend(GPUTarget('cuda', capability, 32))
        bind = create_function_from_signature(self.kernel.signature, self.kernel.params, backend)
        _, specialization, options = bind(**self.arguments)
        return str((self.name, specialization, options))

    def build(self, capability: int) -> CompiledKernel:
        """Compile ahead of time for a GPU of this compute capability (80, 90, …)."""
        constants = self._constants()
        signature, aligned = {}, {}
        for i, parameter in enumerate(self.kernel.params):
            value = self.arguments[parameter.name]
            if parameter.name in constants:
                signature[parameter.name] = 'constexpr'
            elif isinstance(value, torch.Tensor):
                signature[parameter.name] = _TYPES[value.dtype]
                if value.data_ptr() % 16 == 0:
                    aligned[(i,)] = [['tt.divisibility', 16]]
            else:
                signature[parameter.name] = parameter.annotation_type
        source = ASTSource(self.kernel, signature, constants, aligned)
        return triton.compile(
            source, target=GPUTarget('cuda', capability, 32), options=self.options()
        )


class _Recorder:
    def __init__(self, kernel: JITFunction, launches: list[Launch]) -> None:
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, grid):
        return lambda **arguments: self.launches.append(Launch(self.kernel, arguments))


@contextmanager
def recorded() -> Iterator[list[Launch]]:
    """Within this context the backend takes CPU tensors and records instead of launching."""
    names = [name for name in vars(triton_op) if name.startswith('bi_gla_kernel_')]
    kept = {name: getattr(triton_op, name) for name in (*names, 'INTERPRETED')}
    if not all(isinstance(kept[name], JITFunction) for name in names):
        raise RuntimeError('launches are recorded of compiled kernels: unset TRITON_INTERPRET')
    launches: list[Launch] = []
    try:
        triton_op.INTERPRETED = True
        for name in names:
            setattr(triton_op, name, _Recorder(kept[name], launches))
        yield launches
    finally:
        for name, value in kept.items():
            setattr(triton_op, name, value)


def launches_of(shape: Shape, dtype: torch.dtype, directions: str = 'both') -> list[Launch]:
    """All launches of a forward and backward pass as the mixer calls it.

    q, k and v are slices of one projection in `dtype`, the gates' logits of another.
    """
    B, T, H, K, V = shape
    qkv = torch.empty(B, T, H * (2 * K + V), dtype=dtype)
    q, k, v = qkv.split((H * K, H * K, H * V), dim=-1)
    q, k, v = (x.unflatten(-1, (H, -1)) for x in (q, k, v))
    g_fwd, g_bwd = (
        x.unflatten(-1, (H, -1)) for x in torch.empty(B, T, 2 * H * K, dtype=dtype).chunk(2, dim=-1)
    )
    args = (q, k, v, None if directions == 'bwd' else g_fwd, None if directions == 'fwd' else g_bwd)
    with recorded() as launches:
        triton_op.triton_forward(*args, 1.0, 16.0)
        triton_op.triton_backward(torch.empty(v.shape, dtype=dtype), *args, 1.0, 16.0)
    return launches
