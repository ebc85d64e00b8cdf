"""Pure-Python ("lazy") configs, whose types are classes, as configs whose types are names.

mmengine builds from either. What reads a config without building it does not: our checks, and the
hosts' inferencers, compare names.
"""

from collections.abc import Iterator
from types import FunctionType, ModuleType

from mmengine import registry as root
from mmengine.config import Config
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string

LIBRARIES = ('mmdet', 'mmseg', 'mmpretrain')
# Settings whose value says what is built.
KEYS = ('type', 'constructor', 'runner_type')


def by_names(cfg: Config) -> Config:
    """The config with every class in it named as a config of its library names it.

    A class that no registry has is named by its import path; one that has none, as it was made in a
    function, stays. A config without a default scope gets the library of its classes as scope,
    in which the names are looked up. A config without classes is returned as it is.

    Raises:
        ImportError: a module or class that the config imports does not exist.
    """
    content = {
        name: value
        for name, value in cfg._to_lazy_dict().items()
        if not isinstance(value, ModuleType | FunctionType)  # such as `os`, which is not copied
    }
    classes = list(_classes(content))
    if not classes:
        return cfg
    scope = content.get('default_scope') or _library(content, classes)
    named = Config(_named(content, scope), filename=cfg.filename)
    if scope:
        named.default_scope = scope
    return named


def _classes(node) -> Iterator[type]:
    """Classes and functions that settings say to build."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in KEYS and not isinstance(value, str | dict) and value is not None:
                yield _built(value)
            else:
                yield from _classes(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _classes(value)


def _named(node, scope: str | None):
    if isinstance(node, dict):
        return {
            key: _named(_name(_built(value), scope) if key in KEYS else value, scope)
            for key, value in node.items()
        }
    if isinstance(node, list | tuple):
        return type(node)(_named(value, scope) for value in node)
    return node


def _built(value):
    return value.build() if isinstance(value, LazyAttr | LazyObject) else value


def _library(content: dict, classes: list[type]) -> str | None:
    """The library of the model; without a class there, the first that a class is from."""
    model = content.get('model')
    first = _built(model.get('type')) if isinstance(model, dict) else None
    for cls in (first, *classes):
        package = getattr(cls, '__module__', '').partition('.')[0]
        if package in LIBRARIES:
            return package
    return None


def _name(cls, scope: str | None):
    """The name of a class in a scope, or what is no class as it is."""
    if not callable(cls):
        return cls
    places = sorted(_registered(cls), key=lambda place: place[0].scope != scope)
    for node, key in places[:1]:
        short = node.scope == scope or (node.parent is None and not _hidden(node, key, scope))
        return key if short else f'{node.scope}.{key}'
    path = f'{cls.__module__}.{getattr(cls, "__qualname__", "")}'
    return path if get_object_from_string(path) is cls else cls


def _registered(cls) -> Iterator[tuple[Registry, str]]:
    """Registries that have the class, and its name there."""
    tops = [value for value in vars(root).values() if isinstance(value, Registry)]
    for top in tops:
        for node in (top, *top.children.values()):
            yield from ((node, key) for key, value in node.module_dict.items() if value is cls)


def _hidden(top: Registry, key: str, scope: str | None) -> bool:
    """Whether the scope has another class of the name."""
    child = top.children.get(scope)
    if child is None:
        return False
    child.import_from_location()
    return key in child.module_dict
