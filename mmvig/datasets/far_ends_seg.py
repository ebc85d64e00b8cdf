"""The set of far ends for mmseg."""

from mmseg.datasets import BaseSegDataset

from mmvig.registry import DATASETS

from .far_ends import CLASSES, PALETTE, ensure_far_ends


@DATASETS.register_module()
class MiniFarEndsDataset(BaseSegDataset):
    """Long bars whose class shows at one end, drawn into `data_root` on first use.

    Args:
        data_root (str): Folder of the set; drawn if it is missing. Defaults to 'data/far-ends/'.
        img_suffix (str): Ending of the images. Defaults to '.png'.
        **kwargs: See `mmseg.BaseSegDataset`.
    """

    METAINFO = {'classes': CLASSES, 'palette': [list(color) for color in PALETTE]}

    def __init__(
        self, data_root: str = 'data/far-ends/', img_suffix: str = '.png', **kwargs
    ) -> None:
        super().__init__(data_root=data_root, img_suffix=img_suffix, **kwargs)

    def load_data_list(self) -> list[dict]:
        ensure_far_ends(self.data_root)
        return super().load_data_list()
