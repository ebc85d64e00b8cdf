"""Blocks, mixers and the pieces they are made of."""
