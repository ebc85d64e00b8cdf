"""Classifiers of mmpretrain as one traceable module."""

from mmengine.config import Config
from torch import Tensor, nn

from mmvig.checks.errors import UserError

from .exportable import Exportable
from .interface import image_input, make_manifest


class Classifier(nn.Module):
    """An image to the softmax over the classes, [B, classes]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image_BCYX: Tensor) -> tuple[Tensor]:
        scores = self.model(image_BCYX, mode='tensor')
        return (scores.softmax(dim=1),)


def classifier(model: nn.Module, cfg: Config) -> Exportable:
    """A classifier with everything that its `predict` does, from image to scores.

    Args:
        model: as the inferencer of mmpretrain leaves it.
        cfg: its config.

    Raises:
        UserError: the model, or its test pipeline, is of a kind that this does not export.
    """
    from mmpretrain.models import ClsHead, ImageClassifier
    from mmpretrain.models.heads import ConformerHead, EfficientFormerClsHead, RegressionHead

    other = (ConformerHead, EfficientFormerClsHead, RegressionHead)  # no one softmax of one output
    if type(model) is not ImageClassifier or not isinstance(model.head, ClsHead):
        raise UserError(
            f'expected an ImageClassifier with a head that is a ClsHead for an export, got '
            f'{type(model).__name__} with {type(getattr(model, "head", None)).__name__}'
        )
    if isinstance(model.head, other):
        raise UserError(f'cannot export the head {type(model.head).__name__}')
    return Exportable(
        module=Classifier(model).eval(),
        outputs=('scores',),
        **image_input(model),
        manifest=make_manifest(
            'classification',
            model,
            cfg,
            meta=getattr(model, '_dataset_meta', None),
            classes=model.head.num_classes,
        ),
    )
