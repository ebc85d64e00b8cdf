"""Wording that error messages share."""

from collections.abc import Iterable


def join_some(names: Iterable, most: int = 8) -> str:
    """The first `most` names, separated by commas, and how many more there are."""
    names = [str(name) for name in names]
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(names[:most]) + more
