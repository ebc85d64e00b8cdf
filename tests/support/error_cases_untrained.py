"""Data that a training would take in silence, and learn nothing or something else from."""

import json
from pathlib import Path

from mmengine.config import Config

from . import invalid_inputs as made
from .classification_inputs import LINES, folders, labels
from .invalid_inputs import TRAIN, Case, Change

TRAIN_DET = 'train det.py'
TRAIN_SEG = 'train seg.py'
TRAIN_CLS = 'train cls.py'


def corners(coco: dict) -> None:
    """Boxes as x1, y1, x2, y2."""
    for entry in coco['annotations']:
        x, y, width, height = entry['bbox']
        entry['bbox'] = [x, y, x + width, y + height]


def as_shares(coco: dict) -> None:
    for entry in coco['annotations']:
        entry['bbox'] = [value / made.SIZE for value in entry['bbox']]


def mask_as_shares(coco: dict) -> None:
    for entry in coco['annotations']:
        entry['segmentation'] = [[x / made.SIZE for x in entry['segmentation'][0]]]


def super_category(coco: dict) -> None:
    """As some exporters write one, for all that follow."""
    coco['categories'].insert(0, {'id': 0, 'name': 'disc', 'supercategory': 'none'})


def two_categories(coco: dict) -> None:
    coco['categories'].append({'id': 3, 'name': 'disc'})
    coco['annotations'][1]['category_id'] = 3


def same_id(coco: dict) -> None:
    coco['categories'][1]['id'] = coco['categories'][0]['id']


def run_lengths(coco: dict) -> None:
    for entry in coco['annotations']:
        entry['segmentation'] = made.make_runs(made.SIZE, made.SIZE)


def joined(change: Change) -> Change:
    """A config bad.py that repeats and joins the training data, with the same change in both."""

    def make(here: Path) -> None:
        change(here)
        made.content('data/second.json', (here / TRAIN).read_bytes())(here)
        join(here, 'second.json')

    return make


def join(here: Path, second: str) -> None:
    """The config bad.py: det.py's training data, repeated, and those of another file behind."""
    cfg = Config.fromfile(here / 'det.py')
    one = cfg.train_dataloader.dataset
    repeated = dict(type='RepeatDataset', times=2, dataset=one)
    both = [repeated, dict(one, ann_file=second)]
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=both)
    cfg.dump(str(here / 'bad.py'))


def without_annotations(here: Path) -> None:
    """The validation file as that of a test set whose labels are kept back."""
    content = json.loads((here / 'data/val.json').read_text())
    del content['annotations']
    made.content('data/val.json', json.dumps(content))(here)


UNTRAINED = [
    Case('crowds only', TRAIN_DET,
         'data/train.json: expected annotations of square, disc to train on, none of the 8'
         ' is left: 8 have iscrowd: 1 (write 0 for objects to train on)',
         made.all_annotations(iscrowd=1)),
    Case('ignored annotations only', TRAIN_DET,
         'data/train.json: expected annotations of square, disc to train on, none of the 8'
         ' is left: 8 have ignore: 1 (write 0 for objects to train on)',
         made.all_annotations(ignore=1)),
    Case('masks of two points only', TRAIN_DET,
         'data/train.json: expected annotations of square, disc to train on, none of the 8'
         ' is left: 8 have only polygons of less than three points',
         made.all_annotations(segmentation=[[1, 2, 30, 40]])),
    Case('run lengths where polygons are asked for',
         'train det.py --cfg-options train_dataloader.dataset.pipeline.1.poly2mask=False',
         'data/train.json: expected annotations of square, disc to train on, none of the 8'
         ' is left: 8 have run lengths, which poly2mask=False leaves out',
         made.coco(run_lengths)),
    Case('crowds only, in data sets that are repeated and joined', 'train bad.py',
         'data/train.json, data/second.json: expected annotations of square, disc to train'
         ' on, none of the 16 is left: 16 have iscrowd: 1 (write 0 for objects to train '
         'on)',
         joined(made.all_annotations(iscrowd=1))),
    Case('area 0 everywhere', TRAIN_DET,
         'data/train.json: expected annotations of square, disc to train on, none of the 8'
         ' is left: 8 have area 0 (write width·height, or the pixels of the mask)',
         made.all_annotations(area=0)),
    Case('boxes as shares of the image', TRAIN_DET,
         'expected boxes in pixels (x, y, width, height) in data/train.json, 8 of 8 lie '
         'within 0 … 1, as shares of the image, such as [0.125, 0.15625, 0.4375, 0.46875] '
         'of an image of 64×64: multiply them by the width and the height',
         made.coco(as_shares)),
    Case('polygons as shares of the image', TRAIN_DET,
         'data/train.json: annotation 0: expected polygons in pixels, got [0.125, 0.15625,'
         ' 0.5625, 0.15625, 0.5625, 0.625, 0.125, 0.62, shares of the image (and 7 more '
         'such)',
         made.coco(mask_as_shares)),
    Case('boxes as two corners', TRAIN_DET,
         'expected boxes (x, y, width, height) in data/train.json, they look like two '
         'corners (x1, y1, x2, y2), such as [40, 44, 56, 60] of an image of 64×64: write '
         'x2 - x1 and y2 - y1 for the last two',
         made.coco(corners)),
    Case('images below filter_cfg.min_size',
         'train det.py --cfg-options train_dataloader.dataset.filter_cfg.min_size=100',
         'expected images of at least filter_cfg.min_size=100 pixels in data/train.json, '
         'all 4 are smaller, the largest by its smaller side has 64: set '
         'filter_cfg.min_size of the data set lower'),
    Case('a super-category of the name of a category', TRAIN_DET,
         'expected one category of each name in data/train.json, the ids 0, 2 are all called '
         "'disc', and mmdet would count each as a class: remove 0, which has no "
         'annotations',
         made.coco(super_category)),
    Case('two categories of one name', TRAIN_DET,
         'expected one category of each name in data/train.json, the ids 2, 3 are all called '
         "'disc', and mmdet would count each as a class: give the annotations of all the "
         'category_id 2 and remove the others, or rename them',
         made.coco(two_categories)),
    Case('two categories of one id', TRAIN_DET,
         'expected each category of data/train.json to have an id of its own, square, disc'
         ' have 1',
         made.coco(same_id)),
    Case('no annotations, to evaluate', 'test det.py det.pth',
         'expected a COCO file with the lists images, annotations, categories in '
         'data/val.json, got a dict with images, categories. Images without annotations '
         'can be predicted, not evaluated: set format_only=True and outfile_prefix in the '
         'evaluator',
         without_annotations),
    Case('masks of 255 only, which is ignored', TRAIN_SEG,
         'expected labels of ground, square, disc in BaseSegDataset of data/images, '
         'data/masks, none of the 4 masks has any: all are ignored; the files have 255: '
         'reduce_zero_label=True ignores 0 and takes 1 for the first class, and 255 is '
         'ignored',
         made.mask(lambda labels: labels * 0 + 255)),
    Case('masks of 0 only, which reduce_zero_label ignores', TRAIN_SEG,
         'expected labels of ground, square, disc in BaseSegDataset of data/images, '
         'data/masks, none of the 4 masks has any: all are ignored; the files have 0: '
         'reduce_zero_label=True ignores 0 and takes 1 for the first class',
         made.mask(lambda labels: labels * 0)),
]  # fmt: skip

LISTS = [
    Case('labels that are words', TRAIN_CLS,
         'expected an image, a space and its label on each line of data/labels.txt, line 1'
         " has the label 'square': write the number of the class, counted from 0, 0 for "
         'this one',
         labels('0.jpg square', '1.jpg disc')),
    Case('labels that are words of no class', TRAIN_CLS,
         'expected an image, a space and its label on each line of data/labels.txt, line 2'
         " has the label 'ring': write the number of the class, counted from 0",
         labels('0.jpg 0', '1.jpg ring')),
    Case('labels that count from 1', TRAIN_CLS,
         'expected labels 0 … 1 for 2 classes in data/labels.txt, line 2 has 2: count the '
         'classes from 0',
         labels('0.jpg 1', '1.jpg 2')),
    Case('a negative label', TRAIN_CLS,
         'expected labels 0 … 1 for 2 classes in data/labels.txt, line 1 has -1: count the'
         ' classes from 0',
         labels('0.jpg -1')),
    Case('an image without a label', TRAIN_CLS,
         'expected an image, a space and its label on each line of data/labels.txt, line 2'
         " is '1.jpg'",
         labels('0.jpg 0', '1.jpg')),
    Case('labels behind commas', TRAIN_CLS,
         'expected an image, a space and its label on each line of data/labels.txt, line 1'
         " is '0.jpg,0'",
         labels('0.jpg,0', '1.jpg,1')),
    Case('an empty line', TRAIN_CLS,
         'expected an image and its label on each line of data/labels.txt, line 5 is '
         'empty: remove it',
         labels(*LINES, '')),
    Case('an empty list', TRAIN_CLS,
         'expected an image and its label on each line of data/labels.txt, it is an empty '
         'file',
         labels()),
    Case('a byte order mark before a list', TRAIN_CLS,
         'expected an image and its label on each line of data/labels.txt from its first '
         'byte, it begins with a byte order mark: save it again as plain UTF-8',
         labels(*LINES, start=b'\xef\xbb\xbf')),
    Case('a list in another encoding', TRAIN_CLS,
         'expected an image and its label on each line of data/labels.txt, as UTF-8: '
         "'utf-8' codec can't decode byte 0xe9 in position 3: invalid continuation byte",
         labels(start=b'caf\xe9.jpg 0\n')),
    Case('an image that is listed and missing', TRAIN_CLS,
         'expected the image data/images/9.jpg of line 5 of data/labels.txt, there is no '
         'such file',
         labels(*LINES, '9.jpg 1')),
    Case('classes in another order than their folders', TRAIN_CLS,
         'expected the classes in the order of the folders of data/train, as mmpretrain counts '
         'labels by it: disc, square; got square, disc. Change metainfo.classes',
         folders(made.CLASSES, made.CLASSES)),
    Case('a folder of a class that is missing to validate', TRAIN_CLS,
         'expected the same folders, one per class, in the train and the val data, as labels are '
         'counted by them: val has no disc. A folder may be empty',
         folders(('square',))),
    Case('a folder of another name to validate', TRAIN_CLS,
         'expected the same folders, one per class, in the train and the val data, as labels are '
         'counted by them: val has no disc. A folder may be empty',
         folders(('square', 'circle'))),
    Case('an empty line among the names of classes',
         'train cls.py --cfg-options train_dataloader.dataset.metainfo.classes=classes.txt',
         'expected the name of a class on each line of classes.txt, line 2 is empty: '
         'remove it',
         made.both(labels(*LINES), made.content('classes.txt', 'square\n\ndisc\n'))),
    Case('an empty line, in segmentation',
         'train seg.py --cfg-options train_dataloader.dataset.ann_file=list.txt',
         'expected the name of an image on each line of data/list.txt, line 3 is empty: '
         'remove it',
         made.content('data/list.txt', '0\n1\n\n2\n')),
    Case('names with their ending, in segmentation',
         'train seg.py --cfg-options train_dataloader.dataset.ann_file=list.txt',
         'expected the image data/images/0.jpg.jpg, which data/list.txt lists, there is no'
         ' such file; names are listed without the ending, which is img_suffix of the data'
         " set, '.jpg'",
         made.content('data/list.txt', '0.jpg\n1.jpg\n')),
    Case('a byte order mark before labels in JSON', 'train cls.py --cfg-options '
         'train_dataloader.dataset.type=MultiLabelDataset '
         'train_dataloader.dataset.ann_file=set.json',
         'expected JSON in UTF-8 without a byte order mark in data/set.json, it begins with one, '
         'which the readers of the data refuse: save it again as plain UTF-8',
         made.both(labels(*LINES), made.content('data/set.json', b'\xef\xbb\xbf{}'))),
    Case('an empty line, of VOC', 'train bad.py',
         'expected the name of an image on each line of data/list.txt, line 2 is empty: '
         'remove it',
         made.both(
             made.content('data/list.txt', '0\n\n1\n'),
             made.derived("train_dataloader = dict(dataset=dict(_delete_=True, type='VOCDataset', "
                          "data_root='data/', ann_file='list.txt', "
                          "data_prefix=dict(sub_data_root='.')))"))),
]  # fmt: skip
