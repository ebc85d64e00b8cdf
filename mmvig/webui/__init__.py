"""The local page of `python -m mmvig serve`: `answer` works, `layout` shows."""
