"""The mini data set for mmpretrain."""

from mmpretrain.datasets import CustomDataset

from mmvig.registry import DATASETS

from .shapes import ensure_mini


@DATASETS.register_module()
class MiniCropsDataset(CustomDataset):
    """Crops of drawn shapes, one folder per class, drawn into `data_root` on first use.

    Args:
        data_root (str): Folder of the set; drawn if it is missing. Defaults to 'data/mini/'.
        **kwargs: See `mmpretrain.CustomDataset`.
    """

    def __init__(self, data_root: str = 'data/mini/', **kwargs) -> None:
        super().__init__(data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        ensure_mini(self.data_root)
        return super().load_data_list()
