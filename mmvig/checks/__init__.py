"""Checks that answer wrong input with one line: what was expected, what came, what to do.

The commands of mmvig call them; in a program of one's own `check` is the door::

    cfg = Config.fromfile('configs/det/vig_maskrcnn.py')
    check(cfg, 'train', 'val')
    cfg.runner_type = 'mmvig.CheckedRunner'  # or mmvig.CheckedFlexibleRunner
    RUNNERS.build(cfg).train()

The runners (`mmvig.engine.runner`) check what only exists once it is built: the model, the samples
and the checkpoint.
"""

from logging import WARNING

from mmengine.config import Config
from mmengine.logging import print_log

from .config import check_sections, check_settings
from .data import check_data
from .errors import UserError
from .evaluation import check_evaluation
from .model import check_classes, check_model
from .options import check_section_names
from .pure_python import by_names
from .unread import describe_unread

__all__ = ['UserError', 'check', 'check_classes', 'check_model']


def check(cfg: Config, *splits: str) -> None:
    """Check a config before anything is built from it.

    Args:
        cfg: of any MM library; its types are names, or classes as in pure-Python configs.
        splits: those of 'train', 'val' and 'test' that will be used: their sections must exist,
            their files too, and COCO annotations must be right. 'val' may be absent from `cfg`.

    Raises:
        UserError: names the section, setting or file, and what was expected there.
    """
    cfg = by_names(cfg)
    check_section_names(cfg)
    check_settings(cfg)
    check_sections(cfg, *(split for split in splits if split != 'val'))
    check_data(cfg, *splits)
    check_evaluation(cfg, *splits)
    for sentence in describe_unread(cfg):
        print_log(sentence, logger='current', level=WARNING)
