"""Hooks for mmengine's runner."""

from . import finite_loss  # noqa: F401
