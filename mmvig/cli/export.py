"""Write a model as an ONNX file: `python -m mmvig export CONFIG CHECKPOINT --out model.onnx`.

The file takes images of any size, and tells in its metadata how they are prepared and what the
classes are; `mmvig.deploy` runs it without torch. It is run beside torch before it gets its name.
"""

import copy
import sys
from collections.abc import Sequence
from pathlib import Path

from mmvig.checks.config import check_folder
from mmvig.checks.errors import UserError, as_user_error
from mmvig.export.packages import require_packages

from .config import read_config
from .options import make_parser
from .predictor import make_predictor
from .run import command

SUFFIX = '.onnx'


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser('export', 'Write a model as an ONNX file.')
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument('checkpoint', help='path of a checkpoint of the whole model')
    parser.add_argument('--out', required=True, metavar='FILE', help='the file, such as model.onnx')
    parser.add_argument(
        '--form',
        choices=['standard', 'contrib', 'portable'],
        help="linear attention by ONNX's operator (opset 27), by onnxruntime's, or by operators "
        'that every runtime has; the fastest that the installed onnxruntime runs unless said '
        'otherwise',
    )
    parser.add_argument('--dtype', choices=['float32', 'float16'], default='float32')
    parser.add_argument(
        '--output',
        choices=['logits', 'labels'],
        help='of a segmentor; logits unless said otherwise',
    )
    parser.add_argument('--no-check', action='store_true', help='do not run the file beside torch')
    args = parser.parse_args(argv)
    require_packages()
    from mmvig.export import export, make_exportable  # after that, as they import the packages
    from mmvig.export.verify import SIZES

    path = Path(args.out)
    if path.suffix != SUFFIX or path.is_dir():
        raise UserError(f'expected --out to be a file with the suffix {SUFFIX}, got {path}')
    cfg = read_config(args.config)
    check_folder(path.parent, 'the folder of --out')
    predictor = make_predictor(copy.deepcopy(cfg), args.checkpoint, 'cpu')
    with as_user_error():
        model = make_exportable(predictor.model, cfg, args.output)
    report = export(model, path, args.form, args.dtype, check=not args.no_check)
    sys.stdout.write(
        f'{path}: {path.stat().st_size / 2**20:.1f} MiB, opset {report.opset}, {report.nodes} '
        f'nodes, {args.dtype}\n'
        f'linear attention: {report.form}, {report.reason}\n'
    )
    if report.error is None:
        sys.stdout.write('not checked against torch\n')
    else:
        sizes = ', '.join('×'.join(map(str, size)) for size in SIZES)
        sys.stdout.write(
            f'checked against torch at {sizes}: largest error {report.error:.1e} of the largest '
            'value\n'
        )
