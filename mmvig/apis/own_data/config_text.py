"""The text of a config for data that were found."""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from mmvig.configs import get_config

from .choices import Choices

WIDTH = 100
IMPORT = 'from mmvig.apis.own_data import use_data  # stands below _base_, as mmengine asks\n'


def path_text(path: Path) -> str:
    """A path as it should stand in a config: from the working folder if it lies within."""
    path = Path(os.path.abspath(path))
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()


def place(path: Path, root: Path | None) -> str:
    """A path as settings beside `data_root` have it.

    Args:
        path: inside the root, if there is one.
        root: None where files lie beside the data too, so that `data_root` is left empty: a path
            with `..` would lead astray from a linked folder.
    """
    if root is None:
        return path_text(path)
    inside = Path(os.path.relpath(path, root)).as_posix()
    return '' if inside == '.' else inside


def base_text(name: str, config: Path) -> str:
    """The recipe of a name, as a config names its base."""
    base, folder = Path(get_config(name)), Path(os.path.abspath(config)).parent
    if base.is_relative_to(Path.cwd()) and folder.is_relative_to(Path.cwd()):
        relative = Path(os.path.relpath(base, folder)).as_posix()
        return relative if relative.startswith('.') else f'./{relative}'
    return base.as_posix()


def config_text(
    summary: str, config: Path, recipe: str, arguments: dict[str, object], rest: Iterable[str]
) -> str:
    """A config that puts data into a recipe.

    Args:
        summary: one line on what it trains.
        config: where it will stand.
        recipe: name of a config of mmvig.
        arguments: of `use_data`.
        rest: what else it sets.
    """
    lines = ''.join(_lines(name, value, '    ') for name, value in arguments.items())
    command = f'python -m mmvig train {shlex.quote(path_text(config))}'
    header = f'"""{summary}\n\nCommand:  {command}\nWritten by python -m mmvig new-config.\n"""\n'
    base = f'_base_ = {base_text(recipe, config)!r}\n{IMPORT}'
    return '\n'.join([header, base, f'use_data(\n    _base_,\n{lines})', *rest, ''])


def _lines(name: str, value, indent: str) -> str:
    """An argument, on several lines if one is too short for it."""
    text = f'{indent}{name}={_literal(value)},\n'
    if len(text) <= WIDTH or not isinstance(value, dict | tuple):
        return text
    if isinstance(value, tuple):
        inner = ''.join(f'{indent}    {entry!r},\n' for entry in value)
        return f'{indent}{name}=(\n{inner}{indent}),\n'
    inner = ''.join(_lines(key, entry, f'{indent}    ') for key, entry in value.items())
    return f'{indent}{name}=dict(\n{inner}{indent}),\n'


def _literal(value) -> str:
    """Dicts as calls, as configs have them."""
    if isinstance(value, dict):
        return 'dict(' + ', '.join(f'{key}={_literal(v)}' for key, v in value.items()) + ')'
    return repr(value)


def size_arguments(choices: Choices) -> dict[str, object]:
    """Arguments of `use_data` where the choice is not the recipe's."""
    arguments = {
        'scale_factor': choices.scale_factor.value,
        'longest_side': choices.longest_side.value,
        'crop_size': choices.crop_size.value,
        'epochs': choices.epochs.value,
    }
    kept = {'scale_factor': 1.0, 'longest_side': None, 'crop_size': None, 'epochs': 8}
    return {name: value for name, value in arguments.items() if value != kept[name]}


def detector_settings(choices: Choices, masks: bool) -> list[str]:
    """Lines on anchors and on the number of detections."""
    model: dict[str, object] = {}
    if choices.anchors.value is not None:
        if masks:
            model['rpn_head'] = {'anchor_generator': {'scales': choices.anchors.value}}
        else:
            model['bbox_head'] = {'anchor_generator': {'octave_base_scale': choices.anchors.value}}
    if choices.most.value is not None:
        most = {'max_per_img': choices.most.value}
        proposals = {'nms_pre': 1000, 'max_per_img': max(1000, choices.most.value)}
        model['test_cfg'] = {'rpn': proposals, 'rcnn': most} if masks else most
    lines = []
    if model:
        words = [choices.anchors, choices.most]
        lines += [f'# {choice.words}' for choice in words if choice.value is not None]
        settings = ''.join(_lines(name, part, '    ') for name, part in model.items())
        lines.append(f'model = dict(\n{settings})')
    return lines
