"""A local page to try models: `python -m mmvig serve CONFIG CHECKPOINT [CONFIG CHECKPOINT …]`."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from mmvig.checks.errors import UserError

from .config import read_config
from .options import make_parser
from .predictor import make_predictor
from .run import command


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser(
        'serve', 'Open a local web page on which images are dropped and models tried.'
    )
    parser.add_argument(
        'models',
        nargs='+',
        metavar='CONFIG CHECKPOINT',
        help='one or more pairs: path or name of a config, path of a checkpoint of the whole model',
    )
    parser.add_argument('--port', type=int, default=7860, help='on 127.0.0.1; 7860')
    parser.add_argument('--device', help="such as 'cpu' or 'cuda:0'; a GPU if there is one")
    args = parser.parse_args(argv)
    if len(args.models) % 2:
        raise UserError(
            f'expected pairs of CONFIG and CHECKPOINT, got {len(args.models)} arguments'
        )
    if find_spec('gradio') is None:
        raise UserError("serve needs Gradio: pip install -e '.[page]', or pip install gradio")
    predictors = {}
    for config, checkpoint in zip(args.models[::2], args.models[1::2], strict=True):
        cfg = read_config(config)
        predictor = make_predictor(cfg, checkpoint, args.device)
        label = predictor.task
        if label in predictors:
            label = f'{label}, {config} {checkpoint}'
        predictors[label] = predictor
    from mmvig.webui.app import build_app, launch  # Gradio takes seconds to import

    page = build_app(predictors)
    try:
        address = launch(page, args.port)
    except OSError as error:
        raise UserError(
            f'expected port {args.port} of 127.0.0.1 to be free, it is taken; name another: --port '
            f'{args.port + 1}'
        ) from error
    sys.stdout.write(f'{address} is open; Ctrl+C ends it\n')
    sys.stdout.flush()
    page.block_thread()
