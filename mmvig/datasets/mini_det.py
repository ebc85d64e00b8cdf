"""The mini data set for mmdet."""

from mmdet.datasets import CocoDataset

from mmvig.registry import DATASETS

from .shapes import CLASSES, PALETTE, ensure_mini


@DATASETS.register_module()
class MiniCocoDataset(CocoDataset):
    """Drawn shapes in COCO instance layout, drawn into `data_root` on first use.

    Args:
        data_root (str): Folder of the set; drawn if it is missing. Defaults to 'data/mini/'.
        **kwargs: See `mmdet.CocoDataset`.
    """

    METAINFO = {'classes': CLASSES, 'palette': PALETTE}

    def __init__(self, data_root: str = 'data/mini/', **kwargs) -> None:
        super().__init__(data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        ensure_mini(self.data_root)
        return super().load_data_list()
