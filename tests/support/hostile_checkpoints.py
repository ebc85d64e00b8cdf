"""Checkpoints that run code when an unrestricted loader reads them."""

import os
from collections import OrderedDict

import torch
from mmengine.logging import HistoryBuffer, MessageHub

MARKER = 'ran'  # the file or folder that their code makes


class Call:
    """Is pickled as a call: a function, its arguments, and items to set on the result."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


def call_mkdir(marker: str) -> Call:
    """Names the function to call."""
    return Call(os.mkdir, (marker,))


def reach_mkdir_by_getattr(marker: str) -> list:
    """Names only functions of mmengine's list, and reaches any other by their attributes.

    It puts one into the unpickler, which then calls it with the bytes of a number.
    """

    def attribute(owner, name, **members):
        return Call(getattr, (owner, name), None, None, iter(members.items()))

    names = attribute(torch._utils._rebuild_tensor_v2, '__globals__')
    with_names = attribute(Call(OrderedDict, (), names), 'torch')
    mkdir = attribute(attribute(with_names, 'os'), 'mkdir')
    unpickler = attribute(with_names, '_weights_only_unpickler')
    return [
        attribute(unpickler, '__dict__', decode_long=mkdir),
        int.from_bytes(marker.encode(), 'little'),
    ]


def by_system() -> dict:
    return {'state_dict': {'backbone.x': Call(os.system, (f'touch {MARKER}',))}}


def by_getattr() -> dict:
    return {'state_dict': reach_mkdir_by_getattr(MARKER)}


def in_weights() -> dict:
    return {
        'state_dict': OrderedDict({'backbone.x': torch.zeros(1), 'backbone.y': call_mkdir(MARKER)})
    }


def by_eval() -> dict:
    code = f'__import__("os").mkdir({MARKER!r})'
    return {'meta': Call(eval, (code,)), 'state_dict': {'x': torch.zeros(1)}}


def in_message_hub() -> dict:
    """Where runners keep their history, as `message_hub` of every checkpoint."""
    hub = MessageHub('of a test').state_dict()
    hub['log_scalars']['loss'] = HistoryBuffer([1.0], [1])
    hub['runtime_info']['seed'] = call_mkdir(MARKER)
    return {'state_dict': {'x': torch.zeros(1)}, 'message_hub': hub}


HOSTILE = (by_system, by_getattr, in_weights, by_eval, in_message_hub)
