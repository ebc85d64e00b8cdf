"""Convolutions of channels-last maps, which compile once for maps of all sizes.

For a CPU, torch's compiler asks of every convolution whether its map is small (of a single image in
float32: that of at most 20,480 numbers does not go to oneDNN) and whether it is one row or column
wide (its memory format is ambiguous then), and compiles a model again for each set of answers. An
operator of its own is not looked into.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .execution import compiles_for_cpu, is_exported
from .hooks import has_hooks


def conv2d(layer: nn.Conv2d, x_BYXC: Tensor) -> Tensor:
    """The convolution `layer` of a map [B, Y, X, C], channels-last too."""
    if (
        compiles_for_cpu(x_BYXC)
        and x_BYXC.dtype in (torch.float32, torch.float64)
        and type(layer) is nn.Conv2d
        and not has_hooks(layer)
    ):
        return _conv2d(x_BYXC, layer.weight, layer.bias, layer.stride, layer.padding, layer.groups)
    x_BCYX = x_BYXC.permute(0, 3, 1, 2)
    if not is_exported() and x_BCYX.shape[-1] == 1 and layer.stride == (2, 2):
        # The second column of padding, written out: torch's bfloat16 gradient of the weight, on
        # CPUs, reads unwritten memory where a map is one column wide (oneDNN 3.10, torch 2.11).
        x_BCYX = F.pad(x_BCYX, (0, 1))
    return layer(x_BCYX).permute(0, 2, 3, 1)


@torch.library.custom_op(
    'mmvig::conv2d',
    mutates_args=(),
    schema='(Tensor x, Tensor weight, Tensor? bias, int[] stride, int[] padding, int groups)'
    ' -> Tensor',
)
def _conv2d(x_BYXC, weight, bias, stride, padding, groups):
    y_BCYX = F.conv2d(x_BYXC.permute(0, 3, 1, 2), weight, bias, stride, padding, groups=groups)
    return y_BCYX.permute(0, 2, 3, 1).contiguous()


@_conv2d.register_fake
def _(x_BYXC, weight, bias, stride, padding, groups):
    rows, columns = (
        (size + 2 * pad - kernel) // step + 1
        for size, kernel, step, pad in zip(
            x_BYXC.shape[1:3], weight.shape[2:], stride, padding, strict=True
        )
    )
    return x_BYXC.new_empty(x_BYXC.shape[0], rows, columns, weight.shape[0])


@torch.library.custom_op(
    'mmvig::conv2d_backward',
    mutates_args=(),
    schema='(Tensor dy, Tensor x, Tensor weight, int[] stride, int[] padding, int groups,'
    ' bool[] needed) -> (Tensor, Tensor, Tensor)',
)
def _conv2d_backward(dy_BYXC, x_BYXC, weight, stride, padding, groups, needed):
    dx, d_weight, d_bias = torch.ops.aten.convolution_backward(
        dy_BYXC.permute(0, 3, 1, 2), x_BYXC.permute(0, 3, 1, 2), weight, [len(weight)],
        stride, padding, [1, 1], False, [0, 0], groups, needed,
    )  # fmt: skip
    dx = None if dx is None else dx.permute(0, 2, 3, 1)
    return tuple(
        x_BYXC.new_empty(0) if grad is None else grad.contiguous()
        for grad in (dx, d_weight, d_bias)
    )


@_conv2d_backward.register_fake
def _(dy_BYXC, x_BYXC, weight, stride, padding, groups, needed):
    shapes = x_BYXC.shape, weight.shape, weight.shape[:1]
    return tuple(
        x_BYXC.new_empty(shape if needs else 0) for shape, needs in zip(shapes, needed, strict=True)
    )


def _save(ctx, inputs, output):
    x_BYXC, weight, _, *ctx.options = inputs
    ctx.save_for_backward(x_BYXC, weight)


def _differentiate(ctx, dy_BYXC: Tensor):
    needed = ctx.needs_input_grad[:3]
    grads = _conv2d_backward(dy_BYXC, *ctx.saved_tensors, *ctx.options, list(needed))
    found = (grad if needs else None for grad, needs in zip(grads, needed, strict=True))
    return *found, None, None, None


_conv2d.register_autograd(_differentiate, setup_context=_save)
