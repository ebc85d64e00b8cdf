"""Values of another type than what is read: fields of COCO files, settings, and options."""

from . import invalid_inputs as made
from .invalid_inputs import TRAIN, Case, Change

TRAIN_DET = 'train det.py'
OPTION = 'train det.py --cfg-options '


def image(**values) -> Change:
    return made.coco(lambda coco: coco['images'][2].update(values))


def section(name: str, change) -> Change:
    """A section of the file, as `change` makes it of what it is."""
    return made.coco(lambda coco: coco.update({name: change(coco[name])}))


def marked(mark: bytes, encoding: str) -> Change:
    """The training annotations behind a byte order mark."""

    def make(here) -> None:
        text = (here / TRAIN).read_text()
        made.content(TRAIN, mark + text.encode(encoding))(here)

    return make


FIELDS = [
    Case('a width as a word', TRAIN_DET,
         'expected width of each of the images of data/train.json to be a number of '
         "pixels, 1 or more, number 2 has '64'",
         image(width='64')),
    Case('a height of null', TRAIN_DET,
         'expected height of each of the images of data/train.json to be a number of '
         'pixels, 1 or more, number 2 has None',
         image(height=None)),
    Case('a width of 0', TRAIN_DET,
         'expected width of each of the images of data/train.json to be a number of '
         'pixels, 1 or more, number 2 has 0',
         image(width=0)),
    Case('a file name of null', TRAIN_DET,
         'expected file_name of each of the images of data/train.json to be a path, number'
         ' 2 has None',
         image(file_name=None)),
    Case('an image id as a list', TRAIN_DET,
         'expected id of each of the images of data/train.json to be a whole number or a '
         'word, number 2 has [2]',
         image(id=[2])),
    Case('an image that is null', TRAIN_DET,
         'expected each of the images of data/train.json to be a dict, number 4 is None',
         section('images', lambda images: [*images, None])),
    Case('images as a dict', TRAIN_DET,
         'expected a COCO file with the lists images, annotations, categories in '
         'data/train.json, got a dict with images, annotations, categories, where images '
         "is {'0': {'id': 0, 'file_name': '0.jpg', 'width': 64, 'height':…",
         section('images', lambda images: {str(i): each for i, each in enumerate(images)})),
    Case('annotations of null', TRAIN_DET,
         'expected a COCO file with the lists images, annotations, categories in '
         'data/train.json, got a dict with images, annotations, categories, where '
         'annotations is None',
         section('annotations', lambda entries: None)),
    Case('an annotation that is null', TRAIN_DET,
         'expected each of the annotations of data/train.json to be a dict, number 8 is '
         'None',
         section('annotations', lambda entries: [*entries, None])),
    Case('an annotation that is a list', TRAIN_DET,
         'expected each of the annotations of data/train.json to be a dict, number 0 is '
         '[1, 2]',
         section('annotations', lambda entries: [[1, 2], *entries])),
    Case('a category id as a list', TRAIN_DET,
         'expected category_id of each of the annotations of data/train.json to be a whole'
         ' number or a word, number 0 has [1]',
         made.annotation(category_id=[1])),
    Case('a category id of null', TRAIN_DET,
         'expected category_id of each of the annotations of data/train.json to be a whole'
         ' number or a word, number 0 has None',
         made.annotation(category_id=None)),
    Case('image ids as a dict', TRAIN_DET,
         'expected image_id of each of the annotations of data/train.json to be a whole '
         "number or a word, number 0 has {'id': 1} (and 7 more such)",
         made.all_annotations(image_id={'id': 1})),
    Case('an image id as a word, unlike that of the image', TRAIN_DET,
         "data/train.json: annotation 0 is of image '0', there is none",
         made.annotation(image_id='0')),
    Case('an area as a word', TRAIN_DET,
         'expected area of each of the annotations of data/train.json to be a number, '
         "number 0 has '840'",
         made.annotation(area='840')),
    Case('an area of null', TRAIN_DET,
         'expected area of each of the annotations of data/train.json to be a number, '
         'number 0 has None (and 7 more such)',
         made.all_annotations(area=None)),
    Case('an area that is no number', TRAIN_DET,
         'expected area of each of the annotations of data/train.json to be a number, '
         'number 0 has nan',
         made.annotation(area=float('nan'))),
    Case('iscrowd as a word', TRAIN_DET,
         'expected iscrowd of each of the annotations of data/train.json to be 0 or 1, '
         "number 0 has '0' (and 7 more such)",
         made.all_annotations(iscrowd='0')),
    Case('a box of null', TRAIN_DET,
         'expected bbox of each of the annotations of data/train.json to be a box of four '
         'numbers (x, y, width, height), number 0 has None',
         made.annotation(bbox=None)),
    Case('a box with a number beyond all', TRAIN_DET,
         'data/train.json: annotation 0: expected a box of four numbers (x, y, width, height), '
         'got [8, 10, 1000…',
         made.annotation(bbox=[8, 10, 10**400, 30])),
    Case('a box of words', TRAIN_DET,
         'data/train.json: annotation 0: expected a box of four numbers (x, y, width, '
         "height), got ['8', '10', '28', '30']",
         made.annotation(bbox=['8', '10', '28', '30'])),
    Case('a mask of null', TRAIN_DET,
         'data/train.json: annotation 0: expected polygons or run lengths as segmentation,'
         ' got None',
         made.annotation(segmentation=None)),
    Case('a category name of null', TRAIN_DET,
         'expected name of each of the categories of data/train.json to be a name, number '
         '1 has None',
         section('categories', lambda entries: [entries[0], {'id': 2, 'name': None}])),
    Case('a category that is a word', TRAIN_DET,
         'expected each of the categories of data/train.json to be a dict, number 0 is '
         "'square'",
         section('categories', lambda entries: ['square', 'disc'])),
    Case('a byte order mark', TRAIN_DET,
         'expected JSON in UTF-8 without a byte order mark in data/train.json, it begins '
         'with one, which the readers of the data refuse: save it again as plain UTF-8',
         marked(b'\xef\xbb\xbf', 'utf-8')),
    Case('UTF-16', TRAIN_DET,
         'expected JSON in UTF-8 without a byte order mark in data/train.json, it begins '
         'with one, which the readers of the data refuse: save it again as plain UTF-8',
         marked(b'\xff\xfe', 'utf-16-le')),
    Case('a width as a word, to test', 'test det.py det.pth',
         'expected width of each of the images of data/val.json to be a number of pixels, '
         "1 or more, number 2 has '64'",
         made.both(image(width='64'), lambda here: made.content(
             'data/val.json', (here / TRAIN).read_bytes())(here))),
]  # fmt: skip

PATHS = [
    Case('a number for a folder', OPTION + 'train_dataloader.dataset.data_root=2017',
         'the train data are missing: expected 2017/train.json. Put or link the data set '
         'under 2017, or name its place: --cfg-options '
         "train_dataloader.dataset.data_root=DIR (and the evaluator's ann_file)"),
    Case('a comma in the name of a folder',
         OPTION + 'train_dataloader.dataset.data_root=data,x/',
         'the train data are missing: expected data,x/train.json. Put or link the data set'
         ' under data,x/, or name its place: --cfg-options '
         "train_dataloader.dataset.data_root=DIR (and the evaluator's ann_file)"),
    Case('a number for annotations', OPTION + 'train_dataloader.dataset.ann_file=1',
         'the train data are missing: expected data/1. Put or link the data set under '
         'data/, or name its place: --cfg-options train_dataloader.dataset.data_root=DIR '
         "(and the evaluator's ann_file)"),
    Case('a number for a folder of images',
         OPTION + 'train_dataloader.dataset.data_prefix.img=3',
         'the train data are missing: expected data/3. Put or link the data set under '
         'data/, or name its place: --cfg-options train_dataloader.dataset.data_root=DIR '
         "(and the evaluator's ann_file)"),
    Case('a number for annotations to evaluate', OPTION + 'val_evaluator.ann_file=1',
         'the val evaluator has no annotations: expected 1. Name their place: --cfg-'
         'options val_evaluator.ann_file=FILE'),
    Case('a number for a checkpoint', OPTION + 'load_from=12',
         'expected a checkpoint file at 12, there is none'),
    Case('a list for a folder', OPTION + 'train_dataloader.dataset.data_root=[data,x]',
         "expected train_dataloader.dataset.data_root to be a path, got ['data', 'x']"),
    Case('a list for a work dir', OPTION + 'work_dir=[a,b]',
         "expected work_dir to be a path, got ['a', 'b']"),
    Case('a list for annotations to evaluate', OPTION + 'val_evaluator.ann_file=[a,b]',
         "expected val_evaluator.ann_file to be a path, got ['a', 'b']"),
    Case('a number for a folder, in a config', 'train bad.py',
         'expected train_dataloader.dataset.data_root to be a path, got 2017',
         made.derived('train_dataloader = dict(dataset=dict(data_root=2017))')),
    Case('a list for a folder, in segmentation', 'train seg.py --cfg-options '
         'train_dataloader.dataset.data_prefix.img_path=[a,b]',
         "expected train_dataloader.dataset.data_prefix.img_path to be a path, got ['a', "
         "'b']"),
    Case('a path where a dict of paths is read',
         OPTION + 'train_dataloader.dataset.data_prefix=images',
         'expected train_dataloader.dataset.data_prefix to be a dict of paths, got \'images\''),
    Case('a number for filter_cfg', OPTION + 'train_dataloader.dataset.filter_cfg=32',
         'expected train_dataloader.dataset.filter_cfg to be a dict, got 32'),
    Case('a word for min_size', OPTION + 'train_dataloader.dataset.filter_cfg.min_size=small',
         'expected train_dataloader.dataset.filter_cfg.min_size to be a number, got '
         "'small'"),
    Case('a list for metainfo', OPTION + 'train_dataloader.dataset.metainfo=[square,disc]',
         "expected train_dataloader.dataset.metainfo to be a dict, got ['square', 'disc']"),
    Case('a number for classes', OPTION + 'train_dataloader.dataset.metainfo.classes=2',
         'expected metainfo.classes to be a tuple of names, got 2; one name alone is '
         "written ('name',)"),
    Case('a word for a pipeline', OPTION + 'train_dataloader.dataset.pipeline=train',
         "expected train_dataloader.dataset.pipeline to be a list of steps, got 'train'"),
    Case('no annotation file named', 'train bad.py',
         'expected train_dataloader.dataset.ann_file, the path of a COCO file, there is '
         'none',
         made.derived("train_dataloader = dict(dataset=dict(ann_file=''))")),
]  # fmt: skip
