"""The model of a config with its weights, and an image as that model sees it."""

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from mmvig.checkpoint import check_fit, read, weights_of
from mmvig.checks.images import check_image
from mmvig.checks.pure_python import by_names
from mmvig.engine import build
from mmvig.models.backbones.base import Backbone


def build_model(cfg: Config, checkpoint: str | None) -> nn.Module:
    """The config's model in eval mode, with a checkpoint's weights or random ones of seed 0.

    Raises:
        FileNotFoundError, ValueError: the checkpoint is missing, cannot be read, or does not fit.
        TypeError: the backbone is not one of mmvig.
    """
    torch.manual_seed(0)
    model = build.build_model(cfg)
    if not isinstance(model.backbone, Backbone):
        raise TypeError(
            f'expected a config with a backbone of mmvig, got {type(model.backbone).__name__}'
        )
    if checkpoint is None:  # only the backbone is inspected
        model.backbone.init_weights()
    else:
        weights = weights_of(read(checkpoint), checkpoint)
        check_fit(model, weights, checkpoint)
        model.load_state_dict(weights)
    return model


def load_image(cfg: Config, model: nn.Module, path: str | Path) -> tuple[Tensor, np.ndarray]:
    """An image after the config's test pipeline and the model's preprocessing.

    Returns:
        tuple[Tensor, np.ndarray]: the input of the backbone, [1, C, Y, X], and the same image as an
        RGB picture [Y, X, 3] in uint8, black where it is padded.

    Raises:
        ValueError: the file cannot be read as an image.
    """
    check_image(path)
    cfg = by_names(cfg)
    init_default_scope(cfg.get('default_scope'))
    steps = [
        step
        for step in cfg.test_dataloader.dataset.pipeline
        if not (step['type'].endswith('Annotations') or 'Flip' in step['type'])
    ]
    packed = Compose(steps)({'img_path': str(path), 'img_id': 0, 'img': None})
    if cfg.get('default_scope') == 'mmpretrain':
        batch = {'inputs': packed['inputs'][None]}
    else:
        batch = {'inputs': [packed['inputs']], 'data_samples': [packed['data_samples']]}
    image_BCYX = model.data_preprocessor(batch)['inputs']
    picture_YXC = np.zeros((*image_BCYX.shape[2:], 3), np.uint8)
    rgb_CYX = _as_rgb(packed['inputs'].numpy())
    picture_YXC[: rgb_CYX.shape[1], : rgb_CYX.shape[2]] = rgb_CYX.transpose(1, 2, 0)
    return image_BCYX, picture_YXC


def _as_rgb(image_CYX: np.ndarray) -> np.ndarray:
    """Three channels to look at: BGR is the beginning of more, and grey is shown as it is."""
    if image_CYX.shape[0] < 3:
        return np.broadcast_to(image_CYX[:1], (3, *image_CYX.shape[1:]))
    return image_CYX[2::-1]
