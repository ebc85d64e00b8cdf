"""What goes on inside a backbone: numbers (`mixers`, `record`, `field`) and figures (`figures`).

`python -m mmvig inspect` and the page of `python -m mmvig serve` show them.
"""
