"""Maps, features and receptive fields inside a backbone: `record` computes, `figures` draws.

Used by `python -m mmvig inspect` and by the page of `python -m mmvig serve`.
"""
