"""A small config of mmpretrain on the images of `invalid_inputs`, with a list of labels."""

from pathlib import Path

from mmengine.config import Config

from .invalid_inputs import CLASSES, ROOT, Change, content

LABELS = 'data/labels.txt'
LINES = ('0.jpg 0', '1.jpg 1', '2.jpg 0', '3.jpg 1')


def make_classification(folder: Path) -> None:
    """cls.py, for one epoch of two images a batch, and its list."""
    content(LABELS, '\n'.join(LINES) + '\n')(folder)
    cfg = Config.fromfile(ROOT / 'configs/cls/vig_classifier_mini.py')
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.batch_size = 2
        loader.dataset.update(
            type='CustomDataset',
            data_root='data',
            ann_file='labels.txt',
            data_prefix='images',
            metainfo=dict(classes=CLASSES),
        )
    cfg.model.head.num_classes = cfg.model.data_preprocessor.num_classes = len(CLASSES)
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.default_hooks.logger.interval = 1
    cfg.dump(str(folder / 'cls.py'))


def labels(*lines: str, start: bytes = b'') -> Change:
    """The config, with a list of these lines."""

    def make(here: Path) -> None:
        make_classification(here)
        content(LABELS, start + ''.join(f'{line}\n' for line in lines).encode())(here)

    return make


def folders(validation: tuple[str, ...], classes: tuple[str, ...] | None = None) -> Change:
    """The config, with a folder of images for each class instead of a list."""

    def make(here: Path) -> None:
        make_classification(here)
        for split, names in (('train', CLASSES), ('val', validation)):
            for i, name in enumerate(names):
                picture = (here / f'data/images/{i}.jpg').read_bytes()
                content(f'data/{split}/{name}/a.jpg', picture)(here)
        cfg = Config.fromfile(here / 'cls.py')
        for split in ('train', 'val', 'test'):
            dataset = cfg[f'{split}_dataloader'].dataset
            prefix = 'train' if split == 'train' else 'val'
            dataset.update(ann_file='', data_prefix=prefix, metainfo=None)
            if classes:
                dataset.metainfo = dict(classes=classes)
        cfg.dump(str(here / 'cls.py'))

    return make
