"""The figures of an inspection: one labeled figure per layer and kind, one row per model.

Each row of maps has its own color scale, shown by its bar, because the gates of one model often
vary less than they differ between two models. Receptive fields share one scale.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from torch import Tensor

from .features import channel_rms, pca_rgb
from .receptive_field import share_holding
from .record import Layer

SHOWN_HEADS = 6
DECADES = 4  # range of a receptive field that is drawn, below its maximum
NARROWEST = 0.01  # relative width of a color scale, so that rounding errors are not drawn


class Style(NamedTuple):
    """How maps of one kind are drawn; the colors are centered on `middle` unless it is None."""

    label: str
    colors: str
    middle: float | None = None


STYLES = {
    'decay': Style('decay length [tokens]; dark: forgets', 'viridis'),
    'injection': Style('injection gate G; 0: local map, 1: global attention', 'PuOr_r', 0.5),
    'saliency': Style('saliency gate; 1: counts fully in the averages', 'magma'),
    'global share': Style('factor on the global context, 0 … 1', 'magma'),
}


def draw(image_YXC: np.ndarray, models: dict[str, dict[str, Layer]]) -> Iterator[tuple]:
    """Name and `Figure` of each picture of an inspection.

    Args:
        image_YXC: the image as the backbone saw it, RGB, uint8.
        models: results of `record` by the model's label; all of the same backbone and layers.
    """
    for name in next(iter(models.values())):
        layers = {label: recorded[name] for label, recorded in models.items()}
        mixers = {label: layer.mixer for label, layer in layers.items()}
        first = next(iter(mixers.values()))
        for kind, style in STYLES.items():
            maps = {
                '\n'.join(filter(None, (label, key.removeprefix(kind).strip()))): x
                for label, mixer in mixers.items()
                for key, x in mixer.maps_HYX.items()
                if key.startswith(kind)
            }
            if maps:
                yield f'{name}_{kind.replace(" ", "-")}', _head_maps(name, style, image_YXC, maps)
        if first.log_decay_H is not None:
            yield f'{name}_decay', _decay_curves(name, first.log_decay_H)
        yield f'{name}_features', _features(name, image_YXC, layers)
        yield f'{name}_receptive-field', _fields(name, image_YXC, layers)


def _grid(rows: int, columns: int, image_YXC: np.ndarray, title: str) -> tuple[Figure, np.ndarray]:
    cell = 2.1
    height = min(max(cell * image_YXC.shape[0] / image_YXC.shape[1], 1.2), 3.0)
    figure = Figure(figsize=(cell * columns + 1.6, (height + 0.35) * rows + 0.7))
    figure.set_layout_engine('constrained')
    figure.suptitle(title, fontsize=11)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    return figure, axes


def _show(axis, values: np.ndarray, image_YXC: np.ndarray, **options):
    """Draw a map stretched over the image; its cells need not be square."""
    rows, columns = image_YXC.shape[:2]
    extent = (0, columns, rows, 0)
    return axis.imshow(values, extent=extent, interpolation='nearest', aspect='equal', **options)


def _head_maps(layer: str, style: Style, image_YXC: np.ndarray, maps: dict[str, Tensor]) -> Figure:
    """A row per map: the image, the mean over the heads, and the first heads."""
    heads = len(next(iter(maps.values())))
    shown = min(heads, SHOWN_HEADS) if heads > 1 else 0
    title = f'{layer}: {style.label}'
    if shown < heads and shown:
        title += f', {shown} of {heads} heads'
    figure, axes = _grid(len(maps), 2 + shown, image_YXC, title)
    for row, (label, x_HYX) in zip(axes, maps.items(), strict=True):
        row[0].set_ylabel(label, fontsize=9)
        _show(row[0], image_YXC, image_YXC)
        norm = _scale(x_HYX, style.middle)
        for axis, values_YX in zip(row[1:], [x_HYX.mean(0), *x_HYX[:shown]], strict=True):
            drawn = _show(axis, values_YX.numpy(), image_YXC, norm=norm, cmap=style.colors)
            axis.set_xlabel(f'mean {values_YX.mean():.3g}', fontsize=8)
        figure.colorbar(drawn, ax=row, fraction=0.02)
    names = ['image', 'mean of heads' if shown else 'head 0']
    names += [f'head {i}' for i in range(shown)]
    for axis, name in zip(axes[0], names, strict=True):
        axis.set_title(name, fontsize=9)
    return figure


def _scale(x_HYX: Tensor, middle: float | None) -> Normalize:
    """The color scale of a row; logarithmic if the values span more than a decade."""
    low, high = x_HYX.min().item(), x_HYX.max().item()
    if middle is not None:
        half = max(high - middle, middle - low, NARROWEST * middle)
        return Normalize(middle - half, middle + half)
    if low > 0 and high > 10 * low:
        return LogNorm(low, high)
    half = max(high - low, NARROWEST * abs(high)) / 2
    return Normalize((low + high) / 2 - half, (low + high) / 2 + half)


def _decay_curves(layer: str, log_decay_H: Tensor) -> Figure:
    """The weight γ^n of a token n tokens away, for each head of a retention."""
    figure = Figure(figsize=(6, 3.6), layout='constrained')
    axis = figure.subplots()
    distance = torch.arange(1, int(4 / log_decay_H.abs().min()) + 2)
    for i, log_decay in enumerate(log_decay_H):
        label = f'head {i}: {-1 / log_decay:.0f} tokens'
        axis.plot(distance, (log_decay * distance).exp(), label=label)
    axis.axhline(np.exp(-1), color='gray', linewidth=0.8, linestyle=':')
    axis.annotate('1/e', (1, np.exp(-1)), xytext=(2, 2), textcoords='offset points', fontsize=8)
    axis.set(xlabel='distance [tokens]', ylabel='weight γ^n', xscale='log', ylim=(0, 1.02))
    axis.set_title(f'{layer}: fixed decay, the same for every image and position', fontsize=11)
    axis.legend(title='decay length', fontsize=8, ncols=2 if len(log_decay_H) > 8 else 1)
    return figure


def _features(layer: str, image_YXC: np.ndarray, layers: dict[str, Layer]) -> Figure:
    """A row per model: the image, RMS over the channels, principal components."""
    rows, columns, channels = next(iter(layers.values())).output_YXC.shape
    title = f'{layer}: output, {channels} channels of {rows}×{columns}'
    figure, axes = _grid(len(layers), 3, image_YXC, title)
    for row, (label, recorded) in zip(axes, layers.items(), strict=True):
        row[0].set_ylabel(label, fontsize=9)
        _show(row[0], image_YXC, image_YXC)
        drawn = _show(row[1], channel_rms(recorded.output_YXC).numpy(), image_YXC, cmap='magma')
        figure.colorbar(drawn, ax=row[1], fraction=0.04)
        _show(row[2], pca_rgb(recorded.output_YXC).numpy(), image_YXC)
    names = ('image', 'RMS over channels', 'principal components (RGB)')
    for axis, name in zip(axes[0], names, strict=True):
        axis.set_title(name, fontsize=9)
    return figure


def _fields(layer: str, image_YXC: np.ndarray, layers: dict[str, Layer]) -> Figure:
    """A row per model: the image with the position of the output, and its receptive field."""
    title = f'{layer}: effective receptive field of the center'
    figure, axes = _grid(len(layers), 2, image_YXC, title)
    norm = LogNorm(10.0**-DECADES, 1)
    for row, (label, recorded) in zip(axes, layers.items(), strict=True):
        row[0].set_ylabel(label, fontsize=9)
        _show(row[0], image_YXC, image_YXC)
        rows, columns = recorded.output_YXC.shape[:2]
        x = (columns // 2 + 0.5) * image_YXC.shape[1] / columns
        y = (rows // 2 + 0.5) * image_YXC.shape[0] / rows
        row[0].plot(x, y, 'o', color='white', markeredgecolor='black', markersize=6)
        field_YX = recorded.receptive_field_YX.clamp(min=10.0**-DECADES).numpy()
        drawn = _show(row[1], field_YX, image_YXC, norm=norm, cmap='inferno')
        half, most = (100 * share_holding(recorded.receptive_field_YX, part) for part in (0.5, 0.9))
        text = f'50 % in {half:.2g} % of the pixels, 90 % in {most:.2g} %'
        row[1].set_xlabel(text, fontsize=8)
    axes[0][0].set_title('image, ○ the output', fontsize=9)
    axes[0][1].set_title('|gradient|, of its maximum', fontsize=9)
    figure.colorbar(drawn, ax=axes, fraction=0.04)
    return figure


def numbers(layers: dict[str, Layer]) -> dict[str, dict]:
    """Numbers for the figures of one model: means per head, shares of the receptive field."""
    result = {}
    for name, (mixer, output_YXC, field_YX) in layers.items():
        means = {key: _rounded(x.mean((1, 2))) for key, x in mixer.maps_HYX.items()}
        if mixer.log_decay_H is not None:
            means['decay'] = _rounded(-1 / mixer.log_decay_H)
        result[name] = {
            'mean per head': means,
            'feature strength': round(channel_rms(output_YXC).mean().item(), 4),
            'share of pixels holding 50 % of the receptive field': share_holding(field_YX, 0.5),
            'share of pixels holding 90 % of the receptive field': share_holding(field_YX, 0.9),
            'absent': list(mixer.not_applicable),
        }
    return result


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 4) for value in values.tolist()]
