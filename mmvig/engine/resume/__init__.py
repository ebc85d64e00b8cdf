"""Resuming a training as if it had never been stopped; importing this registers the hooks."""

from .checkpoint_hook import ResumableCheckpointHook
from .validate_on_resume import ValidateOnResumeHook

__all__ = ['ResumableCheckpointHook', 'ValidateOnResumeHook']
