"""The configs that ship with the package: `python -m mmvig list`."""

import sys
from collections.abc import Sequence

from mmvig.configs import config_root, config_summary, list_configs

from .options import make_parser
from .run import command


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser('list', 'List the configs of mmvig.')
    parser.add_argument('word', nargs='?', default='', help='only names that contain this')
    word = parser.parse_args(argv).word
    configs = {name: path for name, path in list_configs().items() if word in name}
    width = max(map(len, configs), default=0)
    for name, path in configs.items():
        sys.stdout.write(f'{name:{width}}  {config_summary(path)}\n')
    sys.stdout.write(f'{len(configs)} configs in {config_root()}\n')
