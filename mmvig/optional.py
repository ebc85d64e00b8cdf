"""Modules of packages that need not be installed."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


def import_or_none(name: str) -> ModuleType | None:
    """The module, or None where its package is not installed; one that is broken raises."""
    return import_module(name) if find_spec(name.partition('.')[0]) else None
