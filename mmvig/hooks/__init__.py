"""Hooks of mmengine's runner."""

from . import due_validation, resumable_checkpoint  # noqa: F401
