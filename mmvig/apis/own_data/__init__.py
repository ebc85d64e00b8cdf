"""One's own data: put into a config that inherits a recipe, and looked at before.

`use_data` is for configs; `python -m mmvig new-config` writes such a config for a folder.
"""

from .use import use_data

__all__ = ['use_data']
