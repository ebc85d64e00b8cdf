"""The names and colours of a model's classes."""

from mmengine.config import Config
from mmengine.registry import DATASETS

Colors = tuple[tuple[int, int, int], ...]


def classes_and_palette(
    meta: dict | None, cfg: Config, count: int
) -> tuple[tuple[str, ...], Colors]:
    """`count` names with their colours, if there are any.

    Those of the checkpoint, `meta`, as the inferencers take them; where these are of another
    number, those of the config's data set; at last the numbers of the classes.
    """
    for source in (meta, _of_dataset(cfg)):
        names = (source or {}).get('classes')
        if names is not None and len(names) == count:
            palette = source.get('palette')
            fits = isinstance(palette, list | tuple) and len(palette) >= count
            return tuple(names), _colors(palette[:count]) if fits else ()
    return tuple(map(str, range(count))), ()


def _of_dataset(cfg: Config) -> dict:
    """The meta data of the config's data set, without reading its files."""
    dataset = cfg.get('test_dataloader', {}).get('dataset', {})
    kind = DATASETS.get(dataset.get('type', '')) if isinstance(dataset.get('type'), str) else None
    return {**(getattr(kind, 'METAINFO', None) or {}), **dataset.get('metainfo', {})}


def _colors(palette) -> Colors:
    return tuple(tuple(int(value) for value in color) for color in palette)
