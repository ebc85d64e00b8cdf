"""Hooks of mmengine's runner; importing this package registers them."""

from .finite_loss import FiniteLossHook

__all__ = ['FiniteLossHook']
