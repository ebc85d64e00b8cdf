"""Models of torch as files of ONNX.

`export(make_exportable(model, cfg), 'model.onnx')` writes a whole model; its parts are

    models          a model of an MM library as one module of tensors, with its manifest
    dynamic, half   the module made fit for any size, and for float16
    trace, simplify the module as a graph in which `bi_gla` is one node
    forms           that node in operators of runtimes
    verify          the file beside torch
"""

from importlib import import_module

_PLACES = {'export': '.exporter', 'make_exportable': '.models'}
__all__ = ['export', 'make_exportable']


def __getattr__(name: str):
    """Import when it is asked for: the packages that exporting needs may be absent."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name], __name__), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
