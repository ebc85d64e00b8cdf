"""The commands behind `python -m mmvig …` and `tools/*.py`."""
