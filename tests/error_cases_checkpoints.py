"""Wrong checkpoints: damaged, hostile, of another model."""

import torch

from . import bad_input as made
from .bad_input import Case, Maker

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


def pretrained_on(checkpoint: str) -> Maker:
    init = f"dict(_delete_=True, type='Pretrained', checkpoint='{checkpoint}')"
    return made.derived(f'model = dict(backbone=dict(init_cfg={init}))')


CHECKPOINTS = [
    Case('no such file', TEST, ''),
    Case('an empty file', TEST, '', made.content('bad.pth', b'')),
    Case(
        'cut short', RESUME, '',
        made.both(lambda here: (here / 'det.pth').rename(here / 'bad.pth'), made.cut('bad.pth')),
    ),
    Case('a text file', 'predict det.py bad.pth data/images/0.jpg --out out', '',
         made.content('bad.pth', '<html>404 not found</html>')),
    Case('a zip of something else', TEST, '', made.zipped('bad.pth')),
    Case('a safetensors file', 'convert bad.pth out.pth', '', made.safetensors('bad.pth')),
    Case('an image', 'inspect det.py bad.pth data/images/0.jpg --out out', '',
         made.picture('bad.pth', format='PNG')),
    Case('no weights in it', TEST, '', made.saved('bad.pth', lambda: {'epoch': 3})),
    Case('a number', TEST, '', made.saved('bad.pth', lambda: 3)),
    Case('runs a shell command', TEST, '', made.saved('bad.pth', made.hostile_system)),
    Case('runs code by chains of getattr', RESUME, '',
         made.saved('bad.pth', made.hostile_getattr)),
    Case('runs code from inside the weights', 'predict det.py bad.pth data/images/0.jpg --out out',
         '', made.saved('bad.pth', made.hostile_in_weights)),
    Case('runs code by eval', 'convert bad.pth out.pth', '',
         made.saved('bad.pth', made.hostile_eval)),
    Case('runs code from the message hub', 'inspect det.py bad.pth data/images/0.jpg --out out',
         '', made.saved('bad.pth', made.hostile_message_hub)),
    Case('runs code, named as load_from', OPTION + 'load_from=bad.pth', '',
         made.saved('bad.pth', made.hostile_system)),
    Case(
        'runs code, named as init_cfg',
        'train bad.py', '',
        made.both(made.saved('bad.pth', made.hostile_system), pretrained_on('bad.pth')),
    ),
    Case('a key is missing, to resume', CHANGED, '', made.weights(dropped)),
    Case('a key too many, to resume', CHANGED, '', made.weights(added)),
    Case('a key of another shape, to resume', CHANGED, '', made.weights(misshapen)),
    Case('a key is missing, to test', 'test det.py changed.pth', '', made.weights(dropped)),
    Case('a key of another shape, to predict',
         'predict det.py changed.pth data/images/0.jpg --out out', '', made.weights(misshapen)),
    Case('a backbone of other names, as load_from', OPTION + 'load_from=changed.pth', '',
         made.weights(other_head)),
    Case(
        'a key of another shape, as init_cfg',
        'train bad.py', '', made.both(made.weights(misshapen), pretrained_on('changed.pth')),
    ),
    Case('names of another project, to convert', 'convert det.pth out.pth', ''),
]  # fmt: skip
