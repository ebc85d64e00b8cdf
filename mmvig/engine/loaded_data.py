"""Data sets as a loader has them: what stands inside wrappers, and where it is from."""

from collections.abc import Iterator

from torch.utils.data import Dataset


def inner_datasets(dataset: Dataset) -> Iterator[Dataset]:
    """The data sets with pipelines of their own, inside any wrappers."""
    wrapped = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    for inner in wrapped:
        if inner is not None:
            yield from inner_datasets(inner)
        elif hasattr(dataset, 'prepare_data'):
            yield dataset


def place_of(dataset: Dataset) -> str:
    """The data set in the words of its config."""
    inner = next(inner_datasets(dataset), dataset)
    prefix = getattr(inner, 'data_prefix', None) or {}
    folders = [path for path in prefix.values() if isinstance(path, str) and path]
    return f'{type(inner).__name__} of {getattr(inner, "ann_file", "") or ", ".join(folders)}'
