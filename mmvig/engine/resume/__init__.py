"""Trainings that are killed and resumed as if they had never been stopped.

Importing this package registers its hooks.
"""

from .checkpoint_hook import ResumableCheckpointHook
from .validate_on_resume import DueValidationHook

__all__ = ['DueValidationHook', 'ResumableCheckpointHook']
