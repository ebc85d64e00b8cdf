"""What would fail at the first validation, in the last batch or in drawing, or have no effect."""

import json
from pathlib import Path

from . import invalid_inputs as made
from .invalid_inputs import Case

DET = 'train det.py --cfg-options '
SEG = 'train seg.py --cfg-options '
WITHOUT_MASKS = 'model = dict(roi_head=dict(mask_head=None, mask_roi_extractor=None))'
TTA = """
tta_model = dict(
    type='DetTTAModel',
    tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
)
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
        [dict(type='PackDetInputs')],
    ]),
]
"""


def without_iscrowd(here: Path) -> None:
    content = json.loads((here / 'data/val.json').read_text())
    for entry in content['annotations']:
        del entry['iscrowd']
    made.content('data/val.json', json.dumps(content))(here)


BEFORE_TRAINING = [
    Case('a metric by its name of mmdet 2.x', DET + 'default_hooks.checkpoint.save_best=bbox_mAP',
         'expected save_best of the checkpoint hook to be a metric of val_evaluator, '
         'coco/bbox_mAP, coco/bbox_mAP_50, coco/bbox_mAP_75, coco/bbox_mAP_s, coco/bbox_mAP_m, '
         "coco/bbox_mAP_l, coco/segm_mAP, coco/segm_mAP_50 and 4 more; got 'bbox_mAP'; did you "
         "mean 'coco/bbox_mAP'?"),
    Case('a metric to wait for that is not counted', 'train bad.py',
         'expected monitor of EarlyStoppingHook to be a metric of val_evaluator, aAcc, mIoU, mAcc; '
         "got 'mDice'",
         made.content('bad.py', "_base_ = './seg.py'\ncustom_hooks = [dict("
                                "type='EarlyStoppingHook', monitor='mDice', rule='greater')]\n")),
    Case('masks counted that are not predicted', 'train bad.py',
         "expected a model with masks for metric='segm' of val_evaluator, MaskRCNN has no mask "
         "head: val_evaluator.metric='bbox'",
         made.derived(WITHOUT_MASKS)),
    Case('an unknown number of a metric', 'train bad.py',
         'expected val_evaluator.metric_items of mAP, mAP_50, mAP_75, mAP_s, mAP_m, mAP_l, '
         'AR@100, AR@300, AR@1000, AR_s@1000, AR_m@1000, AR_l@1000; got mAP50',
         made.derived("val_evaluator = dict(metric_items=['mAP50'])")),
    Case('validation annotations without iscrowd', 'train det.py',
         'data/val.json: expected iscrowd in every annotation, as CocoMetric reads it, annotation '
         '0 has none: add "iscrowd": 0',
         without_iscrowd),
    Case('validation images of other channels', 'train bad.py',
         'expected a number of channels of 3 after the pipeline, as in_channels of '
         "model.backbone says, data/images/0.jpg has 1: color_type='grayscale' (1), 'color' (3) "
         "or 'unchanged' of LoadImageFromFile, or another in_channels",
         made.derived("val_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImageFromFile', "
                      "color_type='grayscale'), dict(type='PackDetInputs')]))")),
    Case('masks merged by what merges boxes', 'test bad.py det.pth --tta',
         "expected tta_model.type='mmvig.InstanceSegTTAModel' for a model with masks, got "
         "'DetTTAModel', which merges boxes alone",
         made.derived(TTA)),
    Case('validation without masks', 'train bad.py',
         'expected gt_sem_seg in the samples of val_dataloader, as IoUMetric compares with it: '
         'LoadAnnotations in the pipeline',
         made.content('bad.py', "_base_ = './seg.py'\nval_dataloader = dict(dataset=dict(pipeline=["
                                "dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]))\n")),
    Case('batches of one image', SEG + 'train_dataloader.batch_size=1',
         'expected two images or more in a batch, as model.decode_head.psp_modules.0.1.bn '
         'normalises one value per image and channel; batches have one: another '
         "train_dataloader.batch_size, or norm_cfg=dict(type='GN', num_groups=32) in the head"),
    Case('a last batch of one image',
         SEG + 'train_dataloader.batch_size=3 train_dataloader.sampler.type=DefaultSampler',
         'expected two images or more in a batch, as model.decode_head.psp_modules.0.1.bn '
         'normalises one value per image and channel; the last batch of an epoch has one: '
         'train_dataloader.drop_last=True, another train_dataloader.batch_size, or '
         "norm_cfg=dict(type='GN', num_groups=32) in the head"),
    Case('a sliding window without a size', SEG + 'model.test_cfg.mode=slide',
         "expected model.test_cfg.crop_size of mode='slide' to be two whole numbers, height and "
         'width, 1 or more, got none'),
    Case('a stride of one number',
         SEG + 'model.test_cfg.mode=slide model.test_cfg.crop_size=(48,48) '
         'model.test_cfg.stride=32',
         "expected model.test_cfg.stride of mode='slide' to be two whole numbers, height and "
         'width, 1 or more, got 32'),
    Case('a stride that leaves gaps',
         SEG + 'model.test_cfg.mode=slide model.test_cfg.crop_size=(48,48) '
         'model.test_cfg.stride=(64,64)',
         'expected model.test_cfg.stride of at most the crop_size (48, 48), as windows would '
         'leave pixels out, got (64, 64)'),
    Case('an ignored label beside reduce_zero_label',
         SEG + 'model.decode_head.ignore_index=0 model.auxiliary_head.ignore_index=0',
         'expected model.decode_head.ignore_index=255, what reduce_zero_label=True makes of label '
         '0, got 0'),
    Case('heads that ignore different labels', SEG + 'model.auxiliary_head.ignore_index=0',
         'expected model.auxiliary_head.ignore_index=255, as in model.decode_head, got 0: the '
         'heads learn from the same masks'),
    Case('a mean of three channels for one', 'train det.py --cfg-options '
         'model.backbone.in_channels=1',
         'expected model.data_preprocessor.mean and std to have one number, as '
         'model.backbone.in_channels=1, got 3'),
    Case('fewer colours than classes', 'test bad.py det.pth --show-dir shown',
         'expected 2 colours in metainfo.palette of CocoDataset of data/val.json, one for each '
         'class, got 1',
         made.derived('test_dataloader = dict(dataset=dict(metainfo=dict(palette=[(9, 9, 9)])))')),
    Case('a setting of another runner', DET + 'runner_type=FlexibleRunner compile=True',
         'compile: FlexibleRunner does not read it, and has nothing like it in a config; leave it '
         'out, or set compile=None'),
    Case('a compiler that torch has not', SEG + 'compile.backend=inducter',
         "expected compile.backend to be one of …, inductor, …; got 'inducter'"),
    Case('a setting that the compiler has not', SEG + 'compile.dynamc=True',
         "expected compile to hold 'target' and arguments of torch.compile, fullgraph, dynamic, "
         "backend, mode, options, …; got 'dynamc'"),
    Case('a part to compile that is not there', SEG + 'compile.target=forward',
         'expected compile.target to be a part of the model, such as data_preprocessor, backbone, '
         "decode_head, auxiliary_head, got 'forward'; without it the whole step is compiled"),
    Case('a strategy without its runner', DET + 'strategy.type=DDPStrategy',
         "strategy: expected runner_type='FlexibleRunner' for DDPStrategy, as another runner does "
         'not read it, got Runner'),
]  # fmt: skip
