"""Strategies of distributed training; importing this package registers them."""

from .fsdp import FSDPStrategy

__all__ = ['FSDPStrategy']
