"""Convolutions of channels-last maps, with a faster gradient of the weight, and compiled only once.

Of a convolution of stride 2 by few channels, on CPUs, oneDNN takes up to four times as long for the
gradient of the weight as for that of the map. As products of patches both take as long.

For a CPU, torch's compiler asks of every convolution whether its map is small (of a single image in
float32: that of at most 20,480 numbers does not go to oneDNN) and whether it is one row or column
wide (its memory format is ambiguous then), and compiles a model again for each set of answers. An
operator of its own is not looked into.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .execution import are_plain, compiles_for_cpu, is_exported, runs_eagerly_on_cpu
from .hooks import has_global_hooks, has_hooks
from .linear import weight_gradient

CHUNK_PATCHES = 1024  # that stay in cache
MIN_CHANNELS = 16  # of fewer, copying patches takes longer than their products


def conv2d(layer: nn.Conv2d, x_BYXC: Tensor) -> Tensor:
    """The convolution `layer` of a map [B, Y, X, C], channels-last too."""
    if not (
        x_BYXC.dtype in (torch.float32, torch.float64)
        and type(layer) is nn.Conv2d
        and not has_hooks(layer)
    ):
        return _call(layer, x_BYXC)
    if compiles_for_cpu(x_BYXC):
        return _conv2d(x_BYXC, layer.weight, layer.bias, layer.stride, layer.padding, layer.groups)
    if _gains_by_patches(layer, x_BYXC):
        return _ByPatches.apply(x_BYXC, layer.weight, layer.bias, layer.stride, layer.padding)
    return _call(layer, x_BYXC)


def _call(layer: nn.Conv2d, x_BYXC: Tensor) -> Tensor:
    x_BCYX = x_BYXC.permute(0, 3, 1, 2)
    if not is_exported() and x_BCYX.shape[-1] == 1 and layer.stride == (2, 2):
        # The second column of padding, written out: torch's bfloat16 gradient of the weight, on
        # CPUs, reads unwritten memory where a map is one column wide (oneDNN 3.10, torch 2.11).
        x_BCYX = F.pad(x_BCYX, (0, 1))
    return layer(x_BCYX).permute(0, 2, 3, 1)


def _gains_by_patches(layer: nn.Conv2d, x_BYXC: Tensor) -> bool:
    return (
        runs_eagerly_on_cpu(x_BYXC)
        and torch.is_grad_enabled()
        and not torch.is_autocast_enabled('cpu')
        and are_plain(x_BYXC, layer.weight)
        and layer.in_channels >= MIN_CHANNELS
        and (layer.groups, layer.dilation, layer.padding_mode) == (1, (1, 1), 'zeros')
        and not isinstance(layer.padding, str)
        and not has_global_hooks()
    )


class _ByPatches(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_BYXC: Tensor, weight: Tensor, bias: Tensor | None, stride, padding):
        ctx.save_for_backward(x_BYXC, weight)
        ctx.stride, ctx.padding = stride, padding
        y_BCYX = F.conv2d(x_BYXC.permute(0, 3, 1, 2), weight, bias, stride, padding)
        return y_BCYX.permute(0, 2, 3, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy_BYXC: Tensor):
        x_BYXC, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        dx_BYXC = d_weight = None
        if needs_x:
            dx_BCYX, _, _ = torch.ops.aten.convolution_backward(
                dy_BYXC.permute(0, 3, 1, 2), x_BYXC.permute(0, 3, 1, 2), weight, [len(weight)],
                ctx.stride, ctx.padding, [1, 1], False, [0, 0], 1, [True, False, False],
            )  # fmt: skip
            dx_BYXC = dx_BCYX.permute(0, 2, 3, 1)
        if needs_weight:
            patches = _patches(x_BYXC, weight.shape[2:], ctx.stride, ctx.padding)
            d_weight = _weight_gradient(dy_BYXC, patches)
        return dx_BYXC, d_weight, dy_BYXC.sum((0, 1, 2)) if needs_bias else None, None, None


def _patches(x_BYXC: Tensor, kernel, stride, padding) -> Tensor:
    """What each output reads, [B, Y, X, rows, columns, C]: a view of the padded map."""
    padded_BYXC = F.pad(x_BYXC, (0, 0, padding[1], padding[1], padding[0], padding[0]))
    windows = padded_BYXC.unfold(1, kernel[0], stride[0]).unfold(2, kernel[1], stride[1])
    return windows.permute(0, 1, 2, 4, 5, 3)


def _weight_gradient(dy_BYXC: Tensor, patches: Tensor) -> Tensor:
    """Σ dyᵀ patches over all outputs, [C out, C in, rows, columns], in chunks of outputs."""
    B, Y, X, N = dy_BYXC.shape
    images, rows = max(1, CHUNK_PATCHES // (Y * X)), max(1, CHUNK_PATCHES // X)
    total = None
    for b in range(0, B, images):
        for y in range(0, Y, rows):
            chunk = slice(b, b + images), slice(y, y + rows)
            patches_TC = patches[chunk].flatten(3).flatten(0, 2)
            part = weight_gradient(dy_BYXC[chunk].reshape(-1, N), patches_TC)
            total = part if total is None else total.add_(part)
    return total.view(N, *patches.shape[3:]).permute(0, 3, 1, 2)


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
