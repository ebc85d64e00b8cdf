"""Rename the keys of an official ViG checkpoint: `tools/convert_checkpoint.py SRC DST`."""

import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

from mmvig import checkpoint
from mmvig.checks.errors import UserError

from .options import make_parser
from .run import command


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser('convert', 'Convert an official ViG checkpoint.')
    parser.add_argument('source', help='path of the checkpoint')
    parser.add_argument('target', help='path of the file to write')
    parser.add_argument(
        '--to-official', action='store_true', help='from the names of mmvig to the official ones'
    )
    args = parser.parse_args(argv)
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
    partial = target.with_name(f'{target.name}.part')
    content = io.BytesIO()
    torch.save(converted, content)  # to a file, it reports a full disk in many lines
    try:
        partial.write_bytes(content.getbuffer())
        partial.replace(target)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise UserError(f'could not write {target}: {error.strerror}') from error
