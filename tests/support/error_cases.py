"""Wrong configs and commands, and the table of all wrong inputs that are tried.

docs/errors.md is this table.
"""

import torch

from . import invalid_inputs as made
from .error_cases_before_training import BEFORE_TRAINING
from .error_cases_checkpoints import CHECKPOINTS
from .error_cases_data import COCO, IMAGES, SEGMENTATION
from .error_cases_fields import FIELDS, PATHS
from .error_cases_parts import PARTS
from .error_cases_untrained import LISTS, UNTRAINED
from .invalid_inputs import Case, derived

OPTION = 'train det.py --cfg-options '

CONFIGS = [
    Case('a name with a typo', 'train vig_maskrcn_mini',
         "mmvig has no config 'vig_maskrcn_mini'; did you mean vig_maskrcnn_mini or "
         'vir_maskrcnn_mini or det/vig_maskrcnn_mini?'),
    Case('no such file', 'train absent.py',
         'expected a config file at absent.py, there is none'),
    Case('a syntax error', 'train bad.py',
         "expected a config in bad.py, it cannot be read: SyntaxError: '(' was never closed (…",
         made.content('bad.py', 'model = dict(\n')),
    Case('a base that is not there', 'train bad.py',
         'expected a config in bad.py, it cannot be read: FileNotFoundError: [Errno 2] No '
         "such file or directory: '…absent.py'",
         made.content('bad.py', "_base_ = './absent.py'\n")),
    Case('no model', 'train bad.py',
         "expected the config to have a section 'model', it has none",
         made.content('bad.py', 'train_dataloader = dict()\n')),
    Case('a text file', 'train notes.txt',
         'expected a config in notes.txt, it cannot be read: OSError: Only py/yml/yaml/json '
         'type are supported now!',
         made.content('notes.txt', 'hello')),
    Case('an arch with a typo', OPTION + 'model.backbone.arch=tinny',
         'the config does not build, in MaskRCNN > MultiScaleViG: expected arch to be one of '
         "nano, tiny, small, base or a dict, got 'tinny'"),
    Case('an arch dict with words', 'train bad.py',
         'the config does not build, in MaskRCNN > MultiScaleViG: expected heads of arch to '
         "be whole numbers, 1 or more, got '12'",
         derived("arch = dict(_delete_=True, channels=[32, 64], depths=[1, 1], heads='12', "
                 'hidden=[96, 96])\n'
                 'model = dict(backbone=dict(arch=arch))')),
    Case('out_indices out of range', OPTION + 'model.backbone.out_indices=[0,1,2,7]',
         'the config does not build, in MaskRCNN > MultiScaleViG: expected out_indices within '
         '0 … 3, got [0, 1, 2, 7]'),
    Case('frozen_stages out of range', OPTION + 'model.backbone.frozen_stages=9',
         'the config does not build, in MaskRCNN > MultiScaleViG: expected frozen_stages '
         'within -1 … 4, got 9'),
    Case('frozen_stages as a word', OPTION + 'model.backbone.frozen_stages=all',
         'the config does not build, in MaskRCNN > MultiScaleViG: expected frozen_stages '
         "within -1 … 4, got 'all'"),
    Case('in_channels as a word', OPTION + 'model.backbone.in_channels=rgb',
         'the config does not build, in MaskRCNN > MultiScaleViG: expected in_channels to be '
         "1 or more, got 'rgb'"),
    Case('drop_path_rate above 1', OPTION + 'model.backbone.drop_path_rate=1.5',
         'the config does not build, in MaskRCNN > MultiScaleViG: expected drop_path_rate '
         'from 0 to below 1, got 1.5'),
    Case('an unknown type of backbone', OPTION + 'model.backbone.type=mmvig.MultiScaleVig',
         'the config does not build, in MaskRCNN > MultiScaleVig: mmvig.MultiScaleVig is not '
         'in the mmdet::model registry…'),
    Case('an unknown setting of the backbone', OPTION + 'model.backbone.depth=50',
         'the config does not build, in MaskRCNN > MultiScaleViG: TypeError: …__init__() got '
         "an unexpected keyword argument 'depth'"),
    Case('a neck of other widths', OPTION + 'model.neck.in_channels=[32,64,128,512]',
         'expected model.neck.in_channels=[32, 64, 128, 256], the widths of the backbone, got '
         '[32, 64, 128, 512]'),
    Case('a head of other widths',
         'train seg.py --cfg-options model.auxiliary_head.in_channels=99',
         'expected model.auxiliary_head.in_channels=128, the widths of the backbone, got 99'),
    Case('num_classes unlike the data',
         OPTION + 'model.roi_head.bbox_head.num_classes=80',
         'expected num_classes=2 in model.roi_head.bbox_head, as CocoDataset of '
         'data/train.json has 2 classes, got 80'),
    Case('num_classes unlike the data, in segmentation',
         'train seg.py --cfg-options model.decode_head.num_classes=150',
         'expected num_classes=3 in model.decode_head, as BaseSegDataset of data/images, '
         'data/masks has 3 classes, got 150'),
    Case('a learning rate as a word', OPTION + 'optim_wrapper.optimizer.lr=small',
         "expected optim_wrapper.optimizer.lr to be a number, 0 or more, got 'small'"),
    Case('a negative learning rate', OPTION + 'optim_wrapper.optimizer.lr=-0.1',
         'expected optim_wrapper.optimizer.lr to be a number, 0 or more, got -0.1'),
    Case('an unknown optimizer', OPTION + 'optim_wrapper.optimizer.type=AdamX',
         'the config cannot be run: TypeError: None is not a callable object'),
    Case('a negative batch size', OPTION + 'train_dataloader.batch_size=-2',
         'expected train_dataloader.batch_size to be a whole number, 1 or more, got -2'),
    Case('workers as a word', OPTION + 'train_dataloader.num_workers=two',
         "expected train_dataloader.num_workers to be a whole number, 0 or more, got 'two'"),
    Case('no epochs', OPTION + 'train_cfg.max_epochs=0',
         'expected train_cfg.max_epochs to be a whole number, 1 or more, got 0'),
    Case('a data set without a type', 'train bad.py',
         'expected a type in train_dataloader.dataset, got only data_root',
         derived("train_dataloader = dict(dataset=dict(_delete_=True, data_root='data/'))")),
    Case('no train_dataloader', 'train bad.py',
         "expected the config to have a section 'train_dataloader', it has none",
         derived('train_dataloader = None')),
    Case('classes as a word', OPTION + 'train_dataloader.dataset.metainfo.classes=square',
         "expected metainfo.classes to be a tuple of names, got 'square'; one name alone is "
         "written ('name',)"),
    Case('an unknown transform', 'train seg.py --cfg-options '
         'train_dataloader.dataset.pipeline.0.type=LoadImage',
         'the config does not build, in IterBasedTrainLoop > BaseSegDataset > LoadImage: '
         'LoadImage is not in the mmseg::transform registry…'),
]  # fmt: skip

COMMANDS = [
    Case('an option without a value', OPTION + 'train_cfg.max_epochs',
         "expected KEY=VALUE after --cfg-options, got 'train_cfg.max_epochs'"),
    Case('an option with open brackets', OPTION + 'param_scheduler.1.milestones=[1,(2',
         '--cfg-options param_scheduler.1.milestones=[1,(2: Imbalanced brackets exist in [1,(2'),
    Case('an option that does not exist', OPTION + 'train_cfg.max_epoch=3',
         'the config does not build, in EpochBasedTrainLoop: TypeError: …__init__() got an '
         "unexpected keyword argument 'max_epoch'"),
    Case('an option of a misspelt section', OPTION + 'trian_cfg.max_epochs=3',
         "--cfg-options trian_cfg.max_epochs: the config has no 'trian_cfg'; did you mean "
         "'train_cfg'?"),
    Case('an index that does not exist', OPTION + 'param_scheduler.7.end=3',
         '--cfg-options param_scheduler.7.end: param_scheduler is a list of 2, expected an '
         "index below that, got '7'"),
    Case('an option inside a number', OPTION + 'train_cfg.max_epochs.x=3',
         "--cfg-options do not fit: max_epochs={'x': 3} in child config cannot inherit from "
         'base…'),
    Case('a work dir that is a file', 'train det.py --work-dir det.pth',
         'expected the work dir to be a folder in which files can be written, det.pth is not: '
         'File exists'),
    Case('a work dir below a file', 'train det.py --work-dir det.pth/run',
         'expected the work dir to be a folder in which files can be written, det.pth/run is '
         'not: Not a directory'),
    Case('an --out that is a file', 'predict det.py det.pth data/images --out det.pth',
         'expected --out to be a folder in which files can be written, det.pth is not: File '
         'exists'),
    Case('an --out below a file', 'convert official.pth det.pth/out.pth',
         'could not write det.pth/out.pth: Not a directory',
         made.saved('official.pth', lambda: {'model': {'classifier.head.bias': torch.zeros(1)}})),
    Case('an --out of another kind', 'test det.py det.pth --out found.json',
         'expected --out to end in .pkl or .pickle, got found.json'),
    Case('a device that is not there',
         'predict det.py det.pth data/images --out out --device cuda:99',
         'expected --device to be one of cpu, got cuda:99'),
    Case('a device with a typo', 'predict det.py det.pth data/images --out out --device gpu0',
         'expected --device to be one of cpu, got gpu0'),
    Case('no images at once', 'predict det.py det.pth data/images --out out --batch-size 0',
         'expected --batch-size to be at least 1, got 0'),
    Case('an image too small to count', 'flops det.py --shape 8 8',
         'expected a --shape of at least 32 32, got 8 8'),
    Case('a layer that does not exist',
         'inspect det.py det.pth data/images/0.jpg --out out --layers stages.9.blocks.0',
         'expected layers of stages.0.blocks.0, stages.1.blocks.0, stages.2.blocks.0, '
         'stages.2.blocks.1, stages.3.blocks.0; got stages.9.blocks.0'),
    Case('a run without logs', 'plot empty',
         'expected the work dir of a training, with DATE/vis_data/scalars.json; empty has none',
         made.folder('empty')),
]  # fmt: skip

GROUPS = {
    'Checkpoints': CHECKPOINTS,
    'COCO data': COCO,
    'Values of another type in COCO data': FIELDS,
    'Segmentation data': SEGMENTATION,
    'Data from which nothing is learned': UNTRAINED,
    'Lists of images and labels': LISTS,
    'Images to predict': IMAGES,
    'Configs': CONFIGS,
    'What would come up late': BEFORE_TRAINING,
    'Parts that do not fit, and what is not read': PARTS,
    'Values of another type in a config': PATHS,
    'Commands': COMMANDS,
}
