"""The mini data set for mmseg."""

from mmseg.datasets import BaseSegDataset

from mmvig.registry import DATASETS

from .shapes import CLASSES, PALETTE, ensure_mini


@DATASETS.register_module()
class MiniADEDataset(BaseSegDataset):
    """Drawn shapes in ADE20K layout, drawn into `data_root` on first use.

    As in ADE20K, label 0 of the files means unlabeled and is ignored; label 1 is the ground.

    Args:
        data_root (str): Folder of the set; drawn if it is missing. Defaults to 'data/mini/'.
        reduce_zero_label (bool): Ignore label 0 and shift the classes down by one.
            Defaults to True.
        **kwargs: See `mmseg.BaseSegDataset`.
    """

    METAINFO = {
        'classes': ('ground', *CLASSES),
        'palette': [[110, 110, 110], *map(list, PALETTE)],
    }

    def __init__(
        self, data_root: str = 'data/mini/', reduce_zero_label: bool = True, **kwargs
    ) -> None:
        super().__init__(data_root=data_root, reduce_zero_label=reduce_zero_label, **kwargs)

    def load_data_list(self) -> list[dict]:
        ensure_mini(self.data_root)
        return super().load_data_list()
