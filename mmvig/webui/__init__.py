"""The local page of `python -m mmvig serve`: `predict` computes the answers, `app` is the page."""
