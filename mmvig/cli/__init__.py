"""The commands behind `python -m mmvig …` and `tools/*.py`, one module each.

Each has `main(argv=None)`, which takes the arguments after the command's name, by default those of
the process, and exits with status 2 and one line on stderr where a user can mend something.
"""
