"""Wrong checkpoints: damaged, hostile, of another model."""

import torch

from . import hostile_checkpoints as hostile
from . import invalid_inputs as made
from .invalid_inputs import Case, Change

TEST = 'test det.py bad.pth'
RESUME = 'train det.py --resume bad.pth'
CHANGED = 'train det.py --resume changed.pth'
OPTION = 'train det.py --cfg-options '


def dropped(weights: dict) -> dict:
    del weights['backbone.norm0.weight']
    return weights


def added(weights: dict) -> dict:
    return weights | {'backbone.norm9.weight': torch.zeros(1)}


def misshapen(weights: dict) -> dict:
    return weights | {'backbone.norm0.weight': torch.zeros(5)}


def other_head(weights: dict) -> dict:
    return {key.replace('backbone.', 'encoder.'): value for key, value in weights.items()}


def pretrained_on(checkpoint: str) -> Change:
    init = f"dict(_delete_=True, type='Pretrained', checkpoint='{checkpoint}')"
    return made.derived(f'model = dict(backbone=dict(init_cfg={init}))')


CHECKPOINTS = [
    Case('no such file', TEST,
         'expected a checkpoint file at bad.pth, there is none'),
    Case('an empty file', TEST,
         'expected a PyTorch checkpoint in bad.pth, it is empty',
         made.content('bad.pth', b'')),
    Case(
        'cut short', RESUME,
         'bad.pth is damaged: expected a whole PyTorch checkpoint, it cannot be read (…). '
         'Fetch or write it again.',
        made.both(lambda here: (here / 'det.pth').rename(here / 'bad.pth'), made.cut('bad.pth')),
    ),
    Case('a text file', 'predict det.py bad.pth data/images/0.jpg --out out',
         "expected a PyTorch checkpoint in bad.pth, it begins with b'<html>404 not fo'",
         made.content('bad.pth', '<html>404 not found</html>')),
    Case('a zip of something else', TEST,
         'bad.pth is damaged: expected a whole PyTorch checkpoint, it cannot be read (…). '
         'Fetch or write it again.',
         made.zipped('bad.pth')),
    Case('a safetensors file', 'convert bad.pth out.pth',
         'expected a PyTorch checkpoint in bad.pth, it begins with '
         'b\'>\\x00\\x00\\x00\\x00\\x00\\x00\\x00{"x": {"\'',
         made.safetensors('bad.pth')),
    Case('an image', 'inspect det.py bad.pth data/images/0.jpg --out out',
         'expected a PyTorch checkpoint in bad.pth, it begins with '
         "b'\\x89PNG\\r\\n\\x1a\\n\\x00\\x00\\x00\\rIHDR'",
         made.picture('bad.pth', format='PNG')),
    Case('no weights in it', TEST,
         'expected a state dict in bad.pth, bare or under `model` or `state_dict`; got epoch',
         made.saved('bad.pth', lambda: {'epoch': 3})),
    Case('a number', TEST,
         'expected a state dict in bad.pth, bare or under `model` or `state_dict`; got int',
         made.saved('bad.pth', lambda: 3)),
    Case('runs a shell command', TEST,
         'bad.pth is refused: expected a checkpoint with only tensors, numbers and containers '
         'in it, but it is no checkpoint or asks for more, which could run code (…). Save it '
         'again as a plain state dict.',
         made.saved('bad.pth', hostile.by_system)),
    Case('runs code by chains of getattr', RESUME,
         'bad.pth is refused: expected a checkpoint with only tensors, numbers and containers '
         'in it, but it is no checkpoint or asks for more, which could run code (…). Save it '
         'again as a plain state dict.',
         made.saved('bad.pth', hostile.by_getattr)),
    Case('runs code from inside the weights', 'predict det.py bad.pth data/images/0.jpg --out out',
         'bad.pth is refused: expected a checkpoint with only tensors, numbers and containers '
         'in it, but it is no checkpoint or asks for more, which could run code (…). Save it '
         'again as a plain state dict.',
         made.saved('bad.pth', hostile.in_weights)),
    Case('runs code by eval', 'convert bad.pth out.pth',
         'bad.pth is refused: expected a checkpoint with only tensors, numbers and containers '
         'in it, but it is no checkpoint or asks for more, which could run code (…). Save it '
         'again as a plain state dict.',
         made.saved('bad.pth', hostile.by_eval)),
    Case('runs code from the message hub', 'inspect det.py bad.pth data/images/0.jpg --out out',
         'bad.pth is refused: expected a checkpoint with only tensors, numbers and containers '
         'in it, but it is no checkpoint or asks for more, which could run code (…). Save it '
         'again as a plain state dict.',
         made.saved('bad.pth', hostile.in_message_hub)),
    Case('runs code, named as load_from', OPTION + 'load_from=bad.pth',
         'bad.pth is refused: expected a checkpoint with only tensors, numbers and containers '
         'in it, but it is no checkpoint or asks for more, which could run code (…). Save it '
         'again as a plain state dict.',
         made.saved('bad.pth', hostile.by_system)),
    Case(
        'runs code, named as init_cfg',
        'train bad.py',
         'bad.pth is refused: expected a checkpoint with only tensors, numbers and containers '
         'in it, but it is no checkpoint or asks for more, which could run code (…). Save it '
         'again as a plain state dict.',
        made.both(made.saved('bad.pth', hostile.by_system), pretrained_on('bad.pth')),
    ),
    Case('weights alone, to resume', 'train det.py --resume det.pth',
         'expected a checkpoint of a training to resume from, det.pth has no meta.epoch, '
         'meta.iter, message_hub: its weights alone are read, for a new training, by '
         '--cfg-options load_from=det.pth without --resume'),
    Case('a key is missing, to resume', CHANGED,
         'changed.pth does not fit MaskRCNN: missing: backbone.norm0.weight',
         made.weights(dropped)),
    Case('a key too many, to resume', CHANGED,
         'changed.pth does not fit MaskRCNN: unknown: backbone.norm9.weight',
         made.weights(added)),
    Case('a key of another shape, to resume', CHANGED,
         'changed.pth does not fit MaskRCNN: of another shape: backbone.norm0.weight '
         '(expected [32], got [5])',
         made.weights(misshapen)),
    Case('a key is missing, to test', 'test det.py changed.pth',
         'changed.pth does not fit MaskRCNN: missing: backbone.norm0.weight',
         made.weights(dropped)),
    Case('a key of another shape, to predict',
         'predict det.py changed.pth data/images/0.jpg --out out',
         'changed.pth does not fit MaskRCNN: of another shape: backbone.norm0.weight '
         '(expected [32], got [5])',
         made.weights(misshapen)),
    Case('a backbone of other names, as load_from', OPTION + 'load_from=changed.pth',
         'changed.pth does not fit MultiScaleViG: missing: stem.0.conv.weight, … more',
         made.weights(other_head)),
    Case(
        'a key of another shape, as init_cfg',
        'train bad.py',
         'changed.pth does not fit MultiScaleViG: of another shape: norm0.weight (expected '
         '[32], got [5])',
         made.both(made.weights(misshapen), pretrained_on('changed.pth')),
    ),
    Case('names of another project, to convert', 'convert det.pth out.pth',
         'expected the keys of an official ViG checkpoint, got also '
         'backbone.stem.0.conv.weight, … more'),
]  # fmt: skip
