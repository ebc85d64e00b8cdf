"""Names in a config that nothing reads: mmengine ignores a misspelt one without a word."""

import difflib
import inspect

from mmengine.config import Config
from mmengine.runner import Runner

from .errors import UserError

# Dicts without a type whose names are checked by what they configure.
_OPEN_DICTS = ('default_hooks', 'env_cfg', 'dataloader', 'log_processor')
# Names that a dict without a type may have, and often has not.
_OPTIONAL = {'model.test_cfg': {'mode', 'crop_size', 'stride'}}
# Sections that something other than the runner's constructor reads.
_OTHER_SECTIONS = {
    'custom_imports',
    'runner_type',
    'strategy',
    'compile',
    'auto_scale_lr',
    'tta_model',
    'tta_pipeline',
    'backend_args',
}


def check_section_names(cfg: Config) -> None:
    """No section is a misspelling of one that is read.

    Raises:
        UserError: one is; names the nearest.
    """
    known = known_sections()
    for name, value in cfg.items():
        if name not in known and isinstance(value, dict) and (hint := _did_you_mean(name, known)):
            raise UserError(f'the config has a section {name!r} that nothing reads{hint}')


def check_option(cfg: Config, key: str) -> None:
    """A key of `--cfg-options`, such as 'model.backbone.arch', names a place of the config.

    The last name may be new in a dict with a type, where the type's class checks it.

    Raises:
        UserError: it does not; names the nearest that exists.
    """
    node, path = cfg, []
    for part in key.split('.'):
        if isinstance(node, list | tuple):
            if not part.isdigit() or int(part) >= len(node):
                raise UserError(
                    f'--cfg-options {key}: {".".join(path)} is a list of {len(node)}, expected an '
                    f'index below that, got {part!r}'
                )
            node = node[int(part)]
        elif not hasattr(node, 'keys'):
            return
        elif part in node:
            node = node[part]
        else:
            _check_new_name(key, node, path, part)
            return
        path.append(part)


def _check_new_name(key: str, node: Config | dict, path: list[str], name: str) -> None:
    known = set(node.keys()) | (set() if path else known_sections())
    known |= _OPTIONAL.get('.'.join(path), set())
    is_open = any(part.endswith(_OPEN_DICTS) for part in path)
    if name not in known and 'type' not in node and not is_open:
        place = '.'.join(path) or 'the config'
        hint = _did_you_mean(name, known)
        raise UserError(f'--cfg-options {key}: {place} has no {name!r}{hint}')


def known_sections() -> set[str]:
    """Names of the sections of a config that something reads."""
    return _OTHER_SECTIONS | set(inspect.signature(Runner.__init__).parameters)


def _did_you_mean(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    return f'; did you mean {close[0]!r}?' if close else ''
