"""Wrong data: annotation files, images and masks."""

from . import invalid_inputs as made
from .invalid_inputs import TRAIN, Case

TRAIN_DET = 'train det.py'
TRAIN_SEG = 'train seg.py'
PREDICT = 'predict det.py det.pth bad.jpg --out out'
OPTION = 'train det.py --cfg-options '


def twice_an_image(coco: dict) -> None:
    coco['images'][1]['id'] = coco['images'][0]['id']


def no_annotations(coco: dict) -> None:
    coco['annotations'] = []


def no_categories(coco: dict) -> None:
    del coco['categories']


def other_names(coco: dict) -> None:
    coco['categories'][1]['name'] = 'ring'


def other_order(coco: dict) -> None:
    coco['categories'].reverse()


def flat(coco: dict) -> None:
    """Image 2 is half as high, and has nothing in its lower half."""
    coco['images'][2]['height'] //= 2
    del coco['annotations'][5]


def without_size(coco: dict) -> None:
    del coco['images'][2]['width']


def runs(counts, size=(made.SIZE, made.SIZE)) -> dict:
    return {'size': list(size), 'counts': counts}


COCO = [
    Case('no annotation file', TRAIN_DET,
         'the train data are missing: expected data/train.json. Put or link the data set '
         'under data/, or name its place: --cfg-options '
         "train_dataloader.dataset.data_root=DIR (and the evaluator's ann_file)",
         made.without(TRAIN)),
    Case('JSON that breaks off', TRAIN_DET,
         "expected JSON in data/train.json, it cannot be read as that: Expecting ',' "
         'delimiter: line 1…',
         made.cut(TRAIN)),
    Case('not JSON', TRAIN_DET,
         "expected JSON in data/train.json, it cannot be read as that: 'utf-8' codec can't "
         'decode byte 0xff in position 0: invalid start byte',
         made.content(TRAIN, b'\xff\xd8\xff\xe0')),
    Case('a list instead of sections', TRAIN_DET,
         'expected a COCO file with the lists images, annotations, categories in '
         'data/train.json, got list',
         made.content(TRAIN, '[1, 2]')),
    Case('a section is missing', TRAIN_DET,
         'expected a COCO file with the lists images, annotations, categories in '
         'data/train.json, got a dict with images, annotations',
         made.coco(no_categories)),
    Case('an image without its width', TRAIN_DET,
         'expected id, file_name, width, height in each of the images of data/train.json, '
         'number 2 has no width',
         made.coco(without_size)),
    Case('two images of one id', TRAIN_DET,
         'data/train.json: the image id 0 comes more than once; annotation 2 is of image 1, '
         'there is none (and 1 more such)',
         made.coco(twice_an_image)),
    Case('no images', TRAIN_DET,
         'expected images in data/train.json, there are none',
         made.content(TRAIN, '{"images": [], "annotations": [], "categories": '
                             '[{"id": 1, "name": "square"}, {"id": 2, "name": "disc"}]}')),
    Case('no annotations', TRAIN_DET,
         'data/train.json: expected annotations of square, disc, there are none, so every '
         'image would be left out',
         made.coco(no_annotations)),
    Case('categories that the config does not know', TRAIN_DET,
         'expected the classes of the config in data/train.json, it has no disc; its '
         'categories are square, ring. Name them by metainfo=dict(classes=…)',
         made.coco(other_names)),
    Case('categories in another order', TRAIN_DET,
         'expected the classes in the order of data/train.json, as mmdet counts labels by it: '
         'disc, square; got square, disc. Change metainfo.classes',
         made.coco(other_order)),
    Case('an annotation of an unknown category', TRAIN_DET,
         'data/train.json: annotation 0 is of category 9, expected one of 1, 2',
         made.annotation(category_id=9)),
    Case('an annotation of no image', TRAIN_DET,
         'data/train.json: annotation 0 is of image 77, there is none',
         made.annotation(image_id=77)),
    Case('boxes outside their images', TRAIN_DET,
         'data/train.json: annotation 0: the box [200, 10, 20, 20] (x, y, width, height) lies '
         'outside its image 0.jpg, 64×64 (and 7 more such)',
         made.all_annotations(bbox=[200, 10, 20, 20])),
    Case('a box of negative size', TRAIN_DET,
         'data/train.json: annotation 0: expected a box (x, y, width, height) of a positive '
         'size, got [30, 30, -8, 10]',
         made.annotation(bbox=[30, 30, -8, 10])),
    Case('only boxes of size zero', TRAIN_DET,
         'data/train.json: expected annotations of square, disc to train on, none of the 8 is '
         'left: 8 cover less than a pixel',
         made.all_annotations(bbox=[5, 5, 0, 0])),
    Case('a box of three numbers', TRAIN_DET,
         'data/train.json: annotation 0: expected a box of four numbers (x, y, width, '
         'height), got [5, 5, 9]',
         made.annotation(bbox=[5, 5, 9])),
    Case('a polygon with half a point', TRAIN_DET,
         'data/train.json: annotation 0: expected polygons as x, y, x, y …, got [1, 2, 3]',
         made.annotation(segmentation=[[1, 2, 3]])),
    Case('a polygon of words', TRAIN_DET,
         "data/train.json: annotation 0: expected polygons as x, y, x, y …, got ['a', 'a', "
         "'a', 'a', 'a', 'a']",
         made.annotation(segmentation=[['a'] * 6])),
    Case('no mask', TRAIN_DET,
         'data/train.json: annotation 0: expected polygons or run lengths as segmentation, '
         'got []',
         made.annotation(segmentation=[])),
    Case('run lengths of another size', TRAIN_DET,
         'data/train.json: annotation 0: expected run lengths of the size of the image, [64, '
         '64], got [10, 10]',
         made.annotation(segmentation=runs([0, 100], (10, 10)))),
    Case('run lengths that are too few', TRAIN_DET,
         'data/train.json: annotation 0: expected run lengths of 64·64 pixels in all, got a '
         'sum of 14',
         made.annotation(segmentation=runs([5, 9]))),
    Case('compressed run lengths, damaged', TRAIN_DET,
         'data/train.json: annotation 0: expected run lengths of 64·64 pixels in all, got '
         "'~~~~~'",
         made.annotation(segmentation=runs('~~~~~'))),
    Case('a missing image', TRAIN_DET,
         'data/train.json: expected the image data/images/2.jpg, there is no such file',
         made.without('data/images/2.jpg')),
    Case('an empty image', TRAIN_DET,
         'expected an image, data/images/2.jpg is an empty file',
         made.content('data/images/2.jpg', b'')),
    Case('an image that breaks off', TRAIN_DET,
         'expected a whole image, data/images/2.jpg cannot be read as one: its … bytes are '
         'cut short, damaged, or of another kind',
         made.cut('data/images/2.jpg')),
    Case('a text file for an image, read by a worker process',
         OPTION + 'train_dataloader.num_workers=1',
         'expected a whole image, data/images/2.jpg cannot be read as one: its … bytes are '
         'cut short, damaged, or of another kind',
         made.content('data/images/2.jpg', 'not an image')),
    Case('an image of another size than its annotations say', TRAIN_DET,
         'expected data/images/2.jpg to be 64×64 as its annotations say, it is 64×32 (turned '
         'as its EXIF orientation asks, if it has one)',
         made.picture('data/images/2.jpg', format='JPEG')),
    Case('an image that is turned by its EXIF orientation', TRAIN_DET,
         'expected data/images/2.jpg to be 64×32 as its annotations say, it is 32×64 (turned '
         'as its EXIF orientation asks, if it has one)',
         made.both(made.coco(flat),
                   made.picture('data/images/2.jpg', format='JPEG', exif=made.exif(6)))),
    Case('an annotation file that is not there, to test',
         'test det.py det.pth --cfg-options test_evaluator.ann_file=absent.json',
         'the test evaluator has no annotations: expected absent.json. Name their place: '
         '--cfg-options test_evaluator.ann_file=FILE'),
    Case('an image that breaks off, to test', 'test det.py det.pth',
         'expected a whole image, data/images/2.jpg cannot be read as one: its … bytes are '
         'cut short, damaged, or of another kind',
         made.cut('data/images/2.jpg')),
]  # fmt: skip

SEGMENTATION = [
    Case('no masks for some images', TRAIN_SEG,
         'expected the mask data/masks/2.png for data/images/2.jpg, there is no such file; '
         'another ending is named by seg_map_suffix of the data set',
         made.without('data/masks/2.png')),
    Case('no folder of masks', OPTION.replace('det', 'seg')
         + 'train_dataloader.dataset.data_prefix.seg_map_path=absent',
         'the train data are missing: expected data/absent. Put or link the data set under '
         'data/, or name its place: --cfg-options train_dataloader.dataset.data_root=DIR (and '
         "the evaluator's ann_file)"),
    Case('masks of another size than their images', TRAIN_SEG,
         'expected the mask data/masks/0.png to have the size of its image, 64×64, got 64×32 '
         '(data/images/0.jpg)',
         made.mask(lambda labels: labels[:32])),
    Case('labels out of range', TRAIN_SEG,
         'expected labels 1 … 3 (and 0, 255, ignored) for 3 classes, data/masks/0.png has 60, '
         '120, 180',
         made.mask(lambda labels: labels * 60)),
    Case('labels out of range in 16 bits', TRAIN_SEG,
         'expected labels 1 … 3 (and 0, 255, ignored) for 3 classes, data/masks/0.png has '
         '257, 258, 259',
         made.mask(lambda labels: labels.astype('uint16') + 256)),
    Case('masks in colours', TRAIN_SEG,
         'expected a mask with one label per pixel, data/masks/0.png has 3 channels '
         '(data/images/0.jpg)',
         made.mask(lambda labels: labels[..., None] + [0, 1, 2])),
    Case('masks that break off', TRAIN_SEG,
         'expected a whole image, data/masks/0.png cannot be read as one: its … bytes are cut '
         'short, damaged, or of another kind',
         made.both(*(made.cut(f'data/masks/{i}.png') for i in range(4)))),
    Case('an image that breaks off', TRAIN_SEG,
         'expected a whole image, data/images/0.jpg cannot be read as one: its … bytes are '
         'cut short, damaged, or of another kind',
         made.both(*(made.cut(f'data/images/{i}.jpg') for i in range(4)))),
    Case('a folder without images', TRAIN_SEG,
         'expected images in a data set of the config, there are none: look at its data_root '
         'and data_prefix, at the endings of the files, and at filter_cfg if it has one, which '
         'may leave all out',
         made.both(*(made.without(f'data/images/{i}.jpg') for i in range(4)))),
    Case('labels out of range, to test', 'test seg.py seg.pth',
         'expected labels 1 … 3 (and 0, 255, ignored) for 3 classes, data/masks/0.png has 60, '
         '120, 180',
         made.mask(lambda labels: labels * 60)),
]  # fmt: skip

IMAGES = [
    Case('no such image', PREDICT,
         'expected an image or a folder at bad.jpg, there is none'),
    Case('an empty file', PREDICT,
         'expected an image, bad.jpg is an empty file',
         made.content('bad.jpg', b'')),
    Case('a text file', PREDICT,
         'expected a whole image, bad.jpg cannot be read as one: its … bytes are cut short, '
         'damaged, or of another kind',
         made.content('bad.jpg', 'not an image')),
    Case('cut short', 'predict det.py det.pth data/images/2.jpg --out out',
         'expected a whole image, data/images/2.jpg cannot be read as one: its … bytes are '
         'cut short, damaged, or of another kind',
         made.cut('data/images/2.jpg', 0.9)),
    Case('an empty folder', 'predict det.py det.pth empty --out out',
         'expected images in the folder empty, found none',
         made.folder('empty')),
    Case('a damaged one among others', 'predict det.py det.pth data/images/0.jpg bad.jpg --out out',
         'expected a whole image, bad.jpg cannot be read as one: its … bytes are cut short, '
         'damaged, or of another kind; the others are predicted (1)',
         made.content('bad.jpg', 'not an image')),
    Case('no place for the results', 'predict det.py det.pth data/images',
         'expected --out DIR, --results PATH or both, got neither'),
    Case('results of another kind', 'predict det.py det.pth data/images --results found.pkl',
         'expected --results to end in .json, got found.pkl'),
    Case('ids without results', 'predict det.py det.pth data/images --out out --ann-file coco.json',
         'expected --results beside --ann-file, as they get its ids'),
    Case('cut short, to look inside', 'inspect det.py det.pth data/images/2.jpg --out out',
         'expected a whole image, data/images/2.jpg cannot be read as one: its … bytes are '
         'cut short, damaged, or of another kind',
         made.cut('data/images/2.jpg')),
]  # fmt: skip
