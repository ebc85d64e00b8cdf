"""Bidirectional gated linear attention: one public function, several backends."""

from .api import bi_gla

__all__ = ['bi_gla']
