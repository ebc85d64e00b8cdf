"""Wrong configs and commands, and the table of all wrong inputs that are tried.

docs/errors.md is this table.
"""

import torch

from . import bad_input as made
from .bad_input import Case, derived
from .error_cases_checkpoints import CHECKPOINTS
from .error_cases_data import COCO, IMAGES, SEGMENTATION

OPTION = 'train det.py --cfg-options '

CONFIGS = [
    Case('a name with a typo', 'train vig_maskrcn_mini', ''),
    Case('no such file', 'train absent.py', ''),
    Case('a syntax error', 'train bad.py', '', made.content('bad.py', 'model = dict(\n')),
    Case('a base that is not there', 'train bad.py', '',
         made.content('bad.py', "_base_ = './absent.py'\n")),
    Case('no model', 'train bad.py', '', made.content('bad.py', 'train_dataloader = dict()\n')),
    Case('a text file', 'train notes.txt', '', made.content('notes.txt', 'hello')),
    Case('an arch with a typo', OPTION + 'model.backbone.arch=tinny', ''),
    Case('an arch dict with words', 'train bad.py', '',
         derived("arch = dict(channels=[32, 64], depths=[1, 1], heads='12', hidden=[96, 96])\n"
                 'model = dict(backbone=dict(arch=arch))')),
    Case('out_indices out of range', OPTION + 'model.backbone.out_indices=[0,1,2,7]', ''),
    Case('frozen_stages out of range', OPTION + 'model.backbone.frozen_stages=9', ''),
    Case('frozen_stages as a word', OPTION + 'model.backbone.frozen_stages=all', ''),
    Case('in_channels as a word', OPTION + 'model.backbone.in_channels=rgb', ''),
    Case('drop_path_rate above 1', OPTION + 'model.backbone.drop_path_rate=1.5', ''),
    Case('an unknown type of backbone', OPTION + 'model.backbone.type=mmvig.MultiScaleVig', ''),
    Case('an unknown setting of the backbone', OPTION + 'model.backbone.depth=50', ''),
    Case('a neck of other widths', OPTION + 'model.neck.in_channels=[32,64,128,512]', ''),
    Case('a head of other widths',
         'train seg.py --cfg-options model.auxiliary_head.in_channels=99', ''),
    Case('num_classes unlike the data',
         OPTION + 'model.roi_head.bbox_head.num_classes=80', ''),
    Case('num_classes unlike the data, in segmentation',
         'train seg.py --cfg-options model.decode_head.num_classes=150', ''),
    Case('a learning rate as a word', OPTION + 'optim_wrapper.optimizer.lr=small', ''),
    Case('a negative learning rate', OPTION + 'optim_wrapper.optimizer.lr=-0.1', ''),
    Case('an unknown optimizer', OPTION + 'optim_wrapper.optimizer.type=AdamX', ''),
    Case('a negative batch size', OPTION + 'train_dataloader.batch_size=-2', ''),
    Case('workers as a word', OPTION + 'train_dataloader.num_workers=two', ''),
    Case('no epochs', OPTION + 'train_cfg.max_epochs=0', ''),
    Case('a data set without a type', 'train bad.py', '',
         derived("train_dataloader = dict(dataset=dict(_delete_=True, data_root='data/'))")),
    Case('no train_dataloader', 'train bad.py', '',
         derived('train_dataloader = None')),
    Case('classes as a word', OPTION + 'train_dataloader.dataset.metainfo.classes=square', ''),
    Case('an unknown transform', 'train seg.py --cfg-options '
         'train_dataloader.dataset.pipeline.0.type=LoadImage', ''),
]  # fmt: skip

COMMANDS = [
    Case('an option without a value', OPTION + 'train_cfg.max_epochs', ''),
    Case('an option with open brackets', OPTION + 'param_scheduler.1.milestones=[1,(2', ''),
    Case('an option that does not exist', OPTION + 'train_cfg.max_epoch=3', ''),
    Case('an option of a misspelt section', OPTION + 'trian_cfg.max_epochs=3', ''),
    Case('an index that does not exist', OPTION + 'param_scheduler.7.end=3', ''),
    Case('an option inside a number', OPTION + 'train_cfg.max_epochs.x=3', ''),
    Case('a work dir that is a file', 'train det.py --work-dir det.pth', ''),
    Case('a work dir below a file', 'train det.py --work-dir det.pth/run', ''),
    Case('an --out that is a file', 'predict det.py det.pth data/images --out det.pth', ''),
    Case('an --out below a file', 'convert official.pth det.pth/out.pth', '',
         made.saved('official.pth', lambda: {'model': {'classifier.head.bias': torch.zeros(1)}})),
    Case('an --out of another kind', 'test det.py det.pth --out found.json', ''),
    Case('a device that is not there',
         'predict det.py det.pth data/images --out out --device cuda:99', ''),
    Case('a device with a typo', 'predict det.py det.pth data/images --out out --device gpu0', ''),
    Case('no images at once', 'predict det.py det.pth data/images --out out --batch-size 0', ''),
    Case('an image too small to count', 'flops det.py --shape 8 8', ''),
    Case('a layer that does not exist',
         'inspect det.py det.pth data/images/0.jpg --out out --layers stages.9.blocks.0', ''),
    Case('a run without logs', 'plot empty', '', made.folder('empty')),
]  # fmt: skip

GROUPS = {
    'Checkpoints': CHECKPOINTS,
    'COCO data': COCO,
    'Segmentation data': SEGMENTATION,
    'Images to predict': IMAGES,
    'Configs': CONFIGS,
    'Commands': COMMANDS,
}
