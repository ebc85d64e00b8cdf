"""Rename the keys of an official ViG checkpoint: `tools/convert_checkpoint.py SRC DST`."""

import argparse
import io
from contextlib import suppress
from pathlib import Path

import torch

from mmvig import checkpoint

from .run import UserError, command


@command
def main() -> None:
    parser = argparse.ArgumentParser(description='Convert an official ViG checkpoint.')
    parser.add_argument('source', help='path of the checkpoint')
    parser.add_argument('target', help='path of the file to write')
    parser.add_argument(
        '--to-official', action='store_true', help='from the names of mmvig to the official ones'
    )
    args = parser.parse_args()
    try:
        content = checkpoint.read(args.source)
        weights = checkpoint.weights_of(content, args.source)
        if args.to_official:
            converted = {'model': checkpoint.to_official(weights)}
        else:
            converted = {'state_dict': checkpoint.from_official(weights), 'meta': {}}
    except (FileNotFoundError, ValueError) as error:
        raise UserError(error) from error
    target = Path(args.target)
    beside = target.with_name(f'{target.name}.part')
    content = io.BytesIO()
    torch.save(converted, content)  # to a file it tells of a full disk in many lines
    try:
        beside.write_bytes(content.getbuffer())
        beside.replace(target)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise UserError(f'could not write {target}: {error.strerror}') from error
