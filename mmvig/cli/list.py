"""The configs that ship with the package: `python -m mmvig list`."""

import argparse
import sys

from mmvig.configs import config_root, list_configs, promise


def main() -> None:
    parser = argparse.ArgumentParser(description='List the configs of mmvig.')
    parser.add_argument('word', nargs='?', default='', help='only names that contain this')
    word = parser.parse_args().word
    configs = {name: path for name, path in list_configs().items() if word in name}
    width = max(map(len, configs), default=0)
    for name, path in configs.items():
        sys.stdout.write(f'{name:{width}}  {promise(path)}\n')
    sys.stdout.write(f'{len(configs)} configs in {config_root()}\n')
