"""Parsers of the commands, and the options that `train` and `test` share."""

import argparse

from .key_values import KeyValueAction


def make_parser(name: str, description: str) -> argparse.ArgumentParser:
    """The parser of the command `python -m mmvig NAME`."""
    return argparse.ArgumentParser(prog=f'mmvig {name}', description=description)


def make_runner_parser(name: str, description: str) -> argparse.ArgumentParser:
    """The parser of a command that runs a config: the config and how it is run."""
    parser = make_parser(name, description)
    parser.add_argument('config', help='path of a config file, or name of one of mmvig')
    parser.add_argument('--work-dir', help='where logs and checkpoints go')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=KeyValueAction,
        default={},
        help='KEY=VALUE … over the config',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes',
    )
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser
