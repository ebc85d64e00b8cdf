"""Parts of a config that do not fit one another, and settings that nothing reads."""

from pathlib import Path

import cv2
from mmengine.config import Config

from . import invalid_inputs as made
from .invalid_inputs import Case

DET = 'train det.py --cfg-options '
SEG = 'train seg.py --cfg-options '
SIX = ', as mmdet shows the first and the sixth of each class'
JOINED = """
_pipeline = {{_base_.train_dataloader.dataset.pipeline}}
_one = dict(type='CocoDataset', ann_file='data/train.json', data_prefix=dict(img='data/images/'),
            metainfo=dict(classes=('square', 'disc')), pipeline=_pipeline)
_two = dict(_one, ann_file='data/two.json', metainfo=dict(classes=('square', 'ring')))
train_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=[_one, _two]))
"""


def two_files(here: Path) -> None:
    """The second has a class of another name."""
    made.content('data/two.json', (here / 'data/train.json').read_text().replace('disc', 'ring'))(
        here
    )
    made.derived(JOINED)(here)


def one_output(here: Path) -> None:
    """A segmentor of one class against the rest, which is 255."""
    for path in (here / 'data/masks').iterdir():
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        labels[:] = (labels == 1) * 255
        data = cv2.imencode('.png', labels)[1].tobytes()
        made.content(str(path.relative_to(here)), data)(here)
    cfg = Config.fromfile(here / 'seg.py')
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        dataset.metainfo = dict(classes=('thing',), palette=[[9, 99, 199]])
        dataset.reduce_zero_label = False
        for step in dataset.pipeline:
            step.update({'reduce_zero_label': False} if 'LoadAnnotations' in step.type else {})
    cfg.model.decode_head.num_classes = cfg.model.auxiliary_head.num_classes = 1
    cfg.dump(str(here / 'bad.py'))


def two_necks(here: Path) -> None:
    cfg = Config.fromfile(here / 'det.py')
    cfg.model.neck.in_channels = [256, 512, 1024, 2048]
    mixing = dict(type='BFP', in_channels=64, num_levels=5, refine_level=2)
    cfg.model.neck = [cfg.model.neck, mixing]
    cfg.dump(str(here / 'bad.py'))


PARTS = [
    Case('joined data sets with other classes', 'train bad.py',
         'expected the same classes, in the same order, in data sets that are joined, as their '
         'labels are counted alike, got square, disc and square, ring',
         two_files),
    Case('masks to learn that are not loaded',
         DET + 'train_dataloader.dataset.pipeline.1.with_mask=False',
         'expected with_mask=True of LoadAnnotations in the pipeline of CocoDataset of '
         'data/train.json, as model.roi_head.mask_head learns from masks; for boxes alone, '
         'mask_head=None'),
    Case('a softmax of one output', 'train bad.py',
         'expected use_sigmoid=True of loss_decode in model.decode_head, which has one output: a '
         'softmax of one is always 1, and nothing is learned from it. Or two outputs: '
         'num_classes=2',
         one_output),
    Case('weights of two classes for three',
         SEG + 'model.decode_head.loss_decode.class_weight=[1.0,2.0]',
         'expected 3 numbers in class_weight of loss_decode in model.decode_head, one for each '
         'class, got 2'),
    Case('weights of classes beside a sigmoid',
         SEG + 'model.decode_head.loss_decode.use_sigmoid=True '
         'model.decode_head.loss_decode.class_weight=[1.0,2.0,1.0]',
         'expected no class_weight of loss_decode in model.decode_head beside use_sigmoid=True, '
         'as mmseg lays it along the columns of the image, got [1.0, 2.0, 1.0]: '
         'use_sigmoid=False'),
    Case('no weight for what is no object',
         DET + 'model.roi_head.bbox_head.loss_cls.class_weight=[1.0,2.0]',
         'expected 3 numbers in class_weight of loss_cls in model.roi_head.bbox_head, one for '
         'each class, the last for what is no object, got 2'),
    Case('epochs of a sampler without an end',
         DET + 'train_dataloader.sampler.type=InfiniteSampler',
         'expected a sampler of train_dataloader that comes to an end, as EpochBasedTrainLoop '
         "waits for it: sampler.type='DefaultSampler', or train_cfg.type='IterBasedTrainLoop' "
         'with max_iters; got InfiniteSampler'),
    Case('a test of a sampler without an end',
         'test seg.py seg.pth --cfg-options test_dataloader.sampler.type=InfiniteSampler',
         'expected a sampler of test_dataloader that comes to an end, as TestLoop waits for it: '
         "sampler.type='DefaultSampler'; got InfiniteSampler"),
    Case('fewer maps than strides', DET + 'model.neck.num_outs=4',
         'expected model.neck.num_outs=5, a map for each of the 5 strides of model.rpn_head, got '
         '4'),
    Case('a list of necks of other widths', 'train bad.py',
         'expected model.neck.0.in_channels=[32, 64, 128, 256], the widths of the backbone, got '
         '[256, 512, 1024, 2048]',
         two_necks),
    Case('a head of other widths than its neck', DET + 'model.rpn_head.in_channels=256',
         'expected model.rpn_head.rpn_conv to read 64 channels, as many as come to it, it reads '
         '256: in_channels of that part, or out_channels of the part before it'),
    Case('a head of other widths than its backbone', 'flops bad.py',
         'expected model.rpn_head.rpn_conv to read 32 channels, as many as come to it, it reads '
         '64: in_channels of that part, or out_channels of the part before it',
         made.derived('model = dict(neck=dict(out_channels=32))')),
    Case('recalls at one number of boxes', 'test bad.py det.pth',
         'expected three numbers or more in test_evaluator.proposal_nums, as recalls are counted '
         'at the first three of them, got [5]',
         made.derived('test_evaluator = dict(proposal_nums=(5,))')),
    Case('recalls that NumPy cannot count', 'test bad.py det.pth',
         "expected test_evaluator.metric='proposal', got 'proposal_fast', which fails with NumPy "
         '1.24 and later',
         made.derived("test_evaluator = dict(metric='proposal_fast')")),
    Case('one threshold by class', 'train bad.py',
         'expected six numbers or more in val_evaluator.iou_thrs beside classwise=True'
         f'{SIX}, got [0.5]',
         made.derived('val_evaluator = dict(iou_thrs=[0.5], classwise=True)')),
    Case('a metric of another form of data', 'test bad.py det.pth',
         'expected instances in the samples of test_dataloader, as OpenImagesMetric compares with '
         "it: a data set of Open Images, or 'instances' in meta_keys of PackDetInputs",
         made.derived("test_evaluator = dict(_delete_=True, type='OpenImagesMetric')")),
    Case('an option inside a variable', DET + 'test_pipeline.0.type=Load',
         '--cfg-options test_pipeline.0.type: nothing reads test_pipeline of a config that is '
         'loaded, its value was copied: test_dataloader.dataset.pipeline.0.type, '
         'val_dataloader.dataset.pipeline.0.type'),
]  # fmt: skip
