"""RetinaNet as one module of tensors."""

from mmdet.models.detectors import RetinaNet
from torch import Tensor, nn

from .dense import detect


class OneStage(nn.Module):
    """A detector's `predict` for one image: boxes [D, 4], scores [D] and labels [D]."""

    def __init__(self, model: RetinaNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, image_size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return detect(self.model.bbox_head, self.model.extract_feat(image), image_size)
