"""The model that `predict` and `serve` use."""

from mmengine.config import Config

from mmvig.apis.inference import Predictor
from mmvig.checks.checkpoint import read_checkpoint
from mmvig.checks.config import check_device
from mmvig.checks.errors import as_user_error


def make_predictor(cfg: Config, path: str, device: str | None) -> Predictor:
    """The predictor of a config and a checkpoint of its whole model.

    Raises:
        UserError: the device does not exist, or the config or the checkpoint cannot be used.
    """
    check_device(device)
    read_checkpoint(path)
    with as_user_error():
        return Predictor(cfg, path, device)
