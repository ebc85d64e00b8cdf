"""Wrong data: annotation files, images and masks."""

from . import bad_input as made
from .bad_input import TRAIN, Case

TRAIN_DET = 'train det.py'
TRAIN_SEG = 'train seg.py'
PREDICT = 'predict det.py det.pth bad.jpg --out out'
OPTION = 'train det.py --cfg-options '


def twice_an_image(found: dict) -> None:
    found['images'][1]['id'] = found['images'][0]['id']


def no_annotations(found: dict) -> None:
    found['annotations'] = []


def no_categories(found: dict) -> None:
    del found['categories']


def other_names(found: dict) -> None:
    found['categories'][1]['name'] = 'ring'


def other_order(found: dict) -> None:
    found['categories'].reverse()


def flat(found: dict) -> None:
    """Image 2 is half as high, and has nothing in its lower half."""
    found['images'][2]['height'] //= 2
    del found['annotations'][5]


def without_size(found: dict) -> None:
    del found['images'][2]['width']


def runs(counts, size=(made.SIZE, made.SIZE)) -> dict:
    return {'size': list(size), 'counts': counts}


COCO = [
    Case('no annotation file', TRAIN_DET, '', made.without(TRAIN)),
    Case('JSON that breaks off', TRAIN_DET, '', made.cut(TRAIN)),
    Case('not JSON', TRAIN_DET, '', made.content(TRAIN, b'\xff\xd8\xff\xe0')),
    Case('a list instead of sections', TRAIN_DET, '', made.content(TRAIN, '[1, 2]')),
    Case('a section is missing', TRAIN_DET, '', made.coco(no_categories)),
    Case('an image without its width', TRAIN_DET, '', made.coco(without_size)),
    Case('two images of one id', TRAIN_DET, '', made.coco(twice_an_image)),
    Case('no annotations', TRAIN_DET, '', made.coco(no_annotations)),
    Case('categories that the config does not know', TRAIN_DET, '', made.coco(other_names)),
    Case('categories in another order', TRAIN_DET, '', made.coco(other_order)),
    Case('an annotation of an unknown category', TRAIN_DET, '', made.annotation(category_id=9)),
    Case('an annotation of no image', TRAIN_DET, '', made.annotation(image_id=77)),
    Case('boxes outside their images', TRAIN_DET, '',
         made.all_annotations(bbox=[200, 10, 20, 20])),
    Case('a box of negative size', TRAIN_DET, '', made.annotation(bbox=[30, 30, -8, 10])),
    Case('only boxes of size zero', TRAIN_DET, '', made.all_annotations(bbox=[5, 5, 0, 0])),
    Case('a box of three numbers', TRAIN_DET, '', made.annotation(bbox=[5, 5, 9])),
    Case('a polygon with half a point', TRAIN_DET, '', made.annotation(segmentation=[[1, 2, 3]])),
    Case('a polygon of words', TRAIN_DET, '', made.annotation(segmentation=[['a'] * 6])),
    Case('no mask', TRAIN_DET, '', made.annotation(segmentation=[])),
    Case('run lengths of another size', TRAIN_DET, '',
         made.annotation(segmentation=runs([0, 100], (10, 10)))),
    Case('run lengths that are too few', TRAIN_DET, '', made.annotation(segmentation=runs([5, 9]))),
    Case('compressed run lengths, damaged', TRAIN_DET, '',
         made.annotation(segmentation=runs('~~~~~'))),
    Case('a missing image', TRAIN_DET, '', made.without('data/images/2.jpg')),
    Case('an empty image', TRAIN_DET, '', made.content('data/images/2.jpg', b'')),
    Case('an image that breaks off', TRAIN_DET, '', made.cut('data/images/2.jpg')),
    Case('a text file for an image, read by a worker process',
         OPTION + 'train_dataloader.num_workers=1', '',
         made.content('data/images/2.jpg', 'not an image')),
    Case('an image of another size than its annotations say', TRAIN_DET, '',
         made.picture('data/images/2.jpg', format='JPEG')),
    Case('an image that is turned by its EXIF orientation', TRAIN_DET, '',
         made.both(made.coco(flat),
                   made.picture('data/images/2.jpg', format='JPEG', exif=made.exif(6)))),
    Case('an annotation file that is not there, to test',
         'test det.py det.pth --cfg-options test_evaluator.ann_file=absent.json', ''),
    Case('an image that breaks off, to test', 'test det.py det.pth', '',
         made.cut('data/images/2.jpg')),
]  # fmt: skip

SEGMENTATION = [
    Case('no masks for some images', TRAIN_SEG, '', made.without('data/masks/2.png')),
    Case('no folder of masks', OPTION.replace('det', 'seg')
         + 'train_dataloader.dataset.data_prefix.seg_map_path=absent', ''),
    Case('masks of another size than their images', TRAIN_SEG, '',
         made.mask(lambda labels: labels[:32])),
    Case('labels out of range', TRAIN_SEG, '', made.mask(lambda labels: labels * 60)),
    Case('labels out of range in 16 bits', TRAIN_SEG, '',
         made.mask(lambda labels: labels.astype('uint16') + 256)),
    Case('masks in colours', TRAIN_SEG, '',
         made.mask(lambda labels: labels[..., None] + [0, 1, 2])),
    Case('masks that break off', TRAIN_SEG, '',
         made.both(*(made.cut(f'data/masks/{i}.png') for i in range(4)))),
    Case('an image that breaks off', TRAIN_SEG, '',
         made.both(*(made.cut(f'data/images/{i}.jpg') for i in range(4)))),
    Case('a folder without images', TRAIN_SEG, '',
         made.both(*(made.without(f'data/images/{i}.jpg') for i in range(4)))),
    Case('labels out of range, to test', 'test seg.py seg.pth', '',
         made.mask(lambda labels: labels * 60)),
]  # fmt: skip

IMAGES = [
    Case('no such image', PREDICT, ''),
    Case('an empty file', PREDICT, '', made.content('bad.jpg', b'')),
    Case('a text file', PREDICT, '', made.content('bad.jpg', 'not an image')),
    Case('cut short', 'predict det.py det.pth data/images/2.jpg --out out', '',
         made.cut('data/images/2.jpg', 0.9)),
    Case('an empty folder', 'predict det.py det.pth empty --out out', '', made.folder('empty')),
    Case('cut short, to look inside', 'inspect det.py det.pth data/images/2.jpg --out out', '',
         made.cut('data/images/2.jpg')),
]  # fmt: skip
