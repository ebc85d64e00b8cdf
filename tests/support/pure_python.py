"""A config in pure Python, with classes as types, made of one with names."""

from collections.abc import Iterator
from pathlib import Path

from mmengine import registry as root
from mmengine.config import Config
from mmengine.registry import Registry


def write_pure_python(cfg: Config, path: Path) -> set[type]:
    """Write `cfg` as such a config, which has no default scope; returns the classes it imports."""
    scope, classes = cfg.default_scope, {}
    content = _literal(cfg.to_dict() | {'default_scope': None}, scope, classes)
    imports = [
        f'from {cls.__module__} import {cls.__name__} as {alias}' for cls, alias in classes.items()
    ]
    lines = [f'{key} = {value}' for key, value in content.items()]
    path.write_text('\n'.join([*imports, *lines]) + '\n')
    return set(classes)


def _literal(node, scope: str, classes: dict[type, str]):
    """The source of a value; of the config itself a dict of them."""
    if not isinstance(node, dict):
        if isinstance(node, list | tuple):
            inner = ', '.join(_source(value, scope, classes) for value in node)
            return f'[{inner}]' if isinstance(node, list) else f'({inner},)'
        return repr(node)
    scope = node.get('_scope_', scope)
    found = {}
    for key, value in node.items():
        cls = _find(value, scope) if key == 'type' and isinstance(value, str) else None
        if key == '_scope_':
            continue
        if cls is None:
            found[key] = _source(value, scope, classes)
        else:
            found[key] = classes.setdefault(cls, f'T{len(classes)}')
    return found


def _source(value, scope: str, classes: dict[type, str]) -> str:
    if isinstance(value, dict):
        items = _literal(value, scope, classes).items()
        return '{' + ', '.join(f'{key!r}: {source}' for key, source in items) + '}'
    return _literal(value, scope, classes)


def _find(name: str, scope: str) -> type | None:
    for registry in _registries(scope):
        try:
            cls = registry.get(name)
        except RuntimeError:  # a name that none has, such as that of mmcv's `nms`
            continue
        if cls is not None:
            return cls
    return None


def _registries(scope: str) -> Iterator[Registry]:
    tops = [value for value in vars(root).values() if isinstance(value, Registry)]
    for top in tops:
        yield top.children.get(scope, top)
