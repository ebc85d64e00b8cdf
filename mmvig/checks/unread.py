"""What a config says and nothing reads: names of OpenMMLab 2.x, and variables that were copied.

The value of a variable such as `train_pipeline` is copied to where a base config uses it. To change
the variable in a config that inherits from that one changes nothing else.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from mmvig.messages import join_some

from .errors import UserError
from .options import known_sections

# Sections that mmengine has under other names, and what they are called now.
OLD_SECTIONS = {
    'data': 'train_dataloader, val_dataloader and test_dataloader',
    'optimizer_config': 'optim_wrapper',
    'fp16': "optim_wrapper.type='AmpOptimWrapper'",
    'lr_config': 'param_scheduler',
    'momentum_config': 'param_scheduler',
    'runner': 'train_cfg',
    'total_epochs': 'train_cfg.max_epochs',
    'evaluation': 'val_evaluator and train_cfg.val_interval',
    'checkpoint_config': 'default_hooks.checkpoint',
    'log_config': 'default_hooks.logger',
    'resume_from': 'load_from and resume',
}
# Variables of the hosts' base configs, and where these use them.
VARIABLES = {
    'train_pipeline': 'train_dataloader.dataset.pipeline',
    'val_pipeline': 'val_dataloader.dataset.pipeline',
    'test_pipeline': 'test_dataloader.dataset.pipeline',
    'optimizer': 'optim_wrapper.optimizer',
    'data_preprocessor': 'model.data_preprocessor',
}


def describe_unread(cfg: Config) -> Iterator[str]:
    """Sentences on the sections of a config that have no effect."""
    old = [name for name in OLD_SECTIONS if cfg.get(name)]
    if old:
        now = join_some(f'{OLD_SECTIONS[name]} for {name}' for name in old)
        yield f'nothing reads sections of the config named as in OpenMMLab 2.x: write {now}'
    for name in sorted(VARIABLES.keys() & _overridden(cfg)):
        place = VARIABLES[name]
        if _get(cfg, place) and not any(_places_of(cfg, name)):
            yield (
                f'nothing reads {name} of {cfg.filename}, which differs from {place}: a base '
                f'config copied its own there, so that only {place} itself changes it'
            )


def check_variable(cfg: Config, key: str) -> None:
    """A key of `--cfg-options` is not in a variable that was copied to where it is read.

    Raises:
        UserError: it is; says where the value is read.
    """
    name, dot, rest = key.partition('.')
    if name not in cfg or (name in known_sections() and name not in VARIABLES):
        return
    if places := list(_places_of(cfg, name)):
        raise UserError(
            f'--cfg-options {key}: nothing reads {name} of a config that is loaded, its value '
            f'was copied: {join_some(place + dot + rest for place in places)}'
        )


def _overridden(cfg: Config) -> set[str]:
    """Names that the file of a config assigns, if it inherits from another one."""
    path = Path(cfg.filename or '')
    if path.suffix != '.py' or not path.is_file():
        return set()
    assignments = [
        node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Assign)
    ]
    targets = [target for node in assignments for target in node.targets]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    return names if '_base_' in names else set()


def _places_of(cfg: Config, name: str) -> Iterator[str]:
    """Where in the sections of a config the value of a variable stands too."""
    value = cfg[name]
    for section in sorted(known_sections() - VARIABLES.keys()):
        for place in _places(cfg.get(section), value, section):
            # Numbers are equal by chance.
            if isinstance(value, str | list | tuple | dict) or place.endswith(f'.{name}'):
                yield place


def _places(node, value, place: str) -> Iterator[str]:
    if type(node) is type(value) and node == value:
        yield place
    items = node.items() if hasattr(node, 'items') else ()
    if isinstance(node, list | tuple):
        items = enumerate(node)
    for key, inner in items:
        yield from _places(inner, value, f'{place}.{key}')


def _get(node, path: str):
    for part in path.split('.'):
        while hasattr(node, 'get') and part not in node and 'dataset' in node:
            node = node['dataset']  # inside wrappers
        node = node.get(part) if hasattr(node, 'get') else None
    return node
