"""Hooks of mmengine's runner."""

from . import due_validation, finite_loss, resumable_checkpoint  # noqa: F401
