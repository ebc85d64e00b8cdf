"""Layers that see neighbours, run on rows: convolutions, deconvolutions, pooling."""

import copy
from itertools import chain

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmvig.models.layers.conv import ChannelsLast, ConvNorm

from .errors import StreamingError
from .maps import Map, RollingMap, Tokenwise, pixels

TOKENWISE = (
    nn.Dropout,
    nn.Dropout2d,
    nn.ELU,
    nn.GELU,
    nn.Hardswish,
    nn.Identity,
    nn.LayerNorm,
    nn.LeakyReLU,
    nn.PReLU,
    nn.RMSNorm,
    nn.ReLU,
    nn.ReLU6,
    nn.SiLU,
    nn.Sigmoid,
    nn.Tanh,
)
# Modules that only call their parts; `ConvModule` is mmcv's.
CONTAINERS = {'ChannelsLast', 'ConvModule', 'ConvNorm'}


def without_row_padding(module: nn.Module) -> nn.Module:
    """A copy with the same parameters, whose convolutions pad columns but no rows.

    Its input has the rows beyond a strip: those of the neighbours, or zeros at the map's border.
    """
    tensors = chain(module.parameters(), module.buffers())
    twin = copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
    for part in twin.modules():
        if isinstance(part, nn.Conv2d):
            part.padding = (0, part.padding[1])
    return twin


def layer(source: Map, module: nn.Module) -> Map:
    """`module`, a layer or a sequence of layers, applied to a map.

    Raises:
        StreamingError: the module is none that is known to work on rows.
    """
    if isinstance(module, nn.Sequential):
        for part in module:
            source = layer(source, part)
        return source
    inner = module.module if isinstance(module, ChannelsLast) else module
    if isinstance(inner, nn.ConvTranspose2d | nn.MaxPool2d):
        return Blockwise(source, inner)
    if any(isinstance(part, nn.Conv2d) for part in module.modules()):
        return Convolution(source, module)
    _check_tokenwise(module)
    return Tokenwise(source, module)


class Convolution(RollingMap):
    """A module with one convolution, then only functions of single positions.

    Args:
        source: the map that it reads.
        module: of channels-last maps, if it is a `ConvNorm`; else of channels-first ones.
    """

    def __init__(self, source: Map, module: nn.Module) -> None:
        conv = _the_convolution(module)
        size, self.step, pad, dilation = (
            option[0] for option in (conv.kernel_size, conv.stride, conv.padding, conv.dilation)
        )
        self.reach = dilation * (size - 1) + 1
        self.pad = pad
        shape = (*_sizes(source, conv), conv.out_channels)
        super().__init__(shape, source.dtype, [source])
        self.work = pixels(self) * conv.weight.numel()
        twin = without_row_padding(module)
        self.module = twin if isinstance(module, ConvNorm) else ChannelsLast(twin)

    def rows(self, top: int, bottom: int) -> Tensor:
        """See `Map.rows`; of a 1×1 convolution none are kept, since those of its source are."""
        return self.compute(top, bottom) if self.reach == 1 else super().rows(top, bottom)

    def compute(self, top: int, bottom: int) -> Tensor:
        first = top * self.step - self.pad
        last = (bottom - 1) * self.step - self.pad + self.reach
        return self.module(self.sources[0].padded(first, last))


class Blockwise(Map):
    """Blocks of rows become rows (pooling) or rows become blocks (deconvolution), none shared."""

    COPIES = 2

    def __init__(self, source: Map, module: nn.ConvTranspose2d | nn.MaxPool2d) -> None:
        options = module.kernel_size, module.stride, module.padding, module.dilation
        size, step, pad, dilation = (o if isinstance(o, tuple) else (o, o) for o in options)
        rises = isinstance(module, nn.ConvTranspose2d)
        fits = size == step if rises else size[0] <= step[0] and size[1] <= step[1]
        if not fits or pad != (0, 0) or dilation != (1, 1) or getattr(module, 'groups', 1) != 1:
            raise StreamingError(
                f'expected a pooling or deconvolution whose blocks do not overlap, got {module}'
            )
        rows, columns, channels = source.shape
        self.up, self.down = (step[0], 1) if rises else (1, step[0])
        if rises:
            shape = (rows * step[0], columns * step[1], module.out_channels)
            work = pixels(source) * module.weight.numel()
        else:
            whole = module.ceil_mode or size == (1, 1)
            add = [s - 1 if whole else 0 for s in step]
            shape = ((rows + add[0]) // step[0], (columns + add[1]) // step[1], channels)
            work = 0
        super().__init__(shape, source.dtype, [source], work)
        self.module = ChannelsLast(module)

    def rows(self, top: int, bottom: int) -> Tensor:
        first = top * self.down // self.up
        last = min(-(-bottom * self.down // self.up), self.sources[0].shape[0])
        start = top - first * self.up // self.down
        return self.module(self.sources[0].rows(first, last))[:, start : start + bottom - top]


def _sizes(source: Map, conv: nn.Conv2d) -> tuple[int, ...]:
    options = conv.kernel_size, conv.stride, conv.padding, conv.dilation
    return tuple(
        (n + 2 * pad - dilation * (size - 1) - 1) // step + 1
        for n, size, step, pad, dilation in zip(source.shape[:2], *options, strict=True)
    )


def _the_convolution(module: nn.Module) -> nn.Conv2d:
    convolutions = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    conv = convolutions[0]
    zeros = conv.padding_mode == 'zeros' and isinstance(conv.padding, tuple)
    # mmcv's ConvModule can pad by a layer of its own, or put norm and activation first.
    plain = not getattr(module, 'with_explicit_padding', False)
    if getattr(module, 'order', ('conv',))[0] != 'conv' or len(convolutions) > 1:
        plain = False
    if not plain or not zeros:
        raise StreamingError(f'expected one convolution, padded with zeros, first; got {module}')
    _check_tokenwise(module)
    return conv


def _check_tokenwise(module: nn.Module) -> None:
    """Refuse what sees the whole map, such as a group norm, which needs its mean."""
    for part in module.modules():
        known = isinstance(part, (nn.Conv2d, *TOKENWISE)) or 'is_tokenwise' in vars(type(part))
        if isinstance(part, _BatchNorm):
            known = part.track_running_stats and not part.training
        if not known and type(part).__name__ not in CONTAINERS:
            raise StreamingError(
                f'expected layers that can be run on rows, in eval mode; got {type(part).__name__}'
            )
