"""Evaluate a model: `python tools/test.py CONFIG CHECKPOINT`, or `python -m mmvig test …`."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.evaluator import DumpResults
from mmengine.runner import Runner

from mmvig.checks import check
from mmvig.checks.checkpoint import read_checkpoint
from mmvig.checks.config import check_folder
from mmvig.checks.errors import UserError
from mmvig.deploy.sheet import contact_sheet
from mmvig.engine.resume.select import is_strategy_folder

from .config import load_config
from .options import make_runner_parser
from .precision import add_dtype, apply_dtype
from .run import command, run
from .tta import apply_tta

ON_SHEET = 12


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = make_runner_parser('test', 'Evaluate a model.')
    parser.add_argument('checkpoint', help='path of a checkpoint')
    parser.add_argument('--out', metavar='FILE.pkl', help='write the predictions to a pickle file')
    parser.add_argument(
        '--show-dir',
        metavar='DIR',
        help='draw truth and predictions into DIR, the first on DIR/sheet.png',
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help='average over the sizes and flips of `tta_pipeline`; without one, over a flip',
    )
    add_dtype(parser)
    args = parser.parse_args(argv)
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        raise UserError(f'expected --out to end in .pkl or .pickle, got {args.out}')
    cfg = load_config(args)
    if not is_strategy_folder(cfg, args.checkpoint):
        read_checkpoint(args.checkpoint)
    check(cfg, 'test')
    cfg.load_from = args.checkpoint
    note = apply_tta(cfg) if args.tta else ''
    if args.out:
        check_folder(Path(args.out).parent, 'the place of --out')
    if args.show_dir:
        check_folder(args.show_dir, '--show-dir')
        _show(cfg, str(Path(args.show_dir).resolve()))

    def action(runner: Runner) -> None:
        if note:
            runner.logger.info(note)
        apply_dtype(runner.model, args.dtype)
        if args.out:
            runner.test_evaluator.metrics.append(_dump(runner, args.out))
        runner.test()
        if args.show_dir and is_main_process():
            _draw_sheet(Path(args.show_dir))

    run(cfg, action)


def _show(cfg: Config, folder: str) -> None:
    """Turn on the library's drawing: truth on the left, prediction on the right."""
    for place, section in (('default_hooks', 'visualization'), ('visualizer', 'type')):
        if not (cfg.get(place) or {}).get(section):
            raise UserError(f'--show-dir needs {place}.{section} in the config')
    hook = cfg.default_hooks.visualization
    if cfg.get('default_scope') == 'mmdet':
        hook.update(draw=True, test_out_dir=folder)
    else:  # these hooks draw through the visualizer, into its own folder
        hook.update({'enable' if cfg.get('default_scope') == 'mmpretrain' else 'draw': True})
        cfg.visualizer.save_dir = folder


def _draw_sheet(folder: Path) -> None:
    """The first pictures on one sheet; the libraries put them into the folder or far below it."""
    sheet = folder / 'sheet.png'
    pictures = [p for p in folder.rglob('*') if p.suffix in ('.jpg', '.png') and p != sheet]
    if pictures:
        shown = sorted(pictures)[:ON_SHEET]
        contact_sheet(shown, sheet, columns=min(3, len(shown)))


def _dump(runner: Runner, path: str) -> DumpResults:
    """mmdet's dump keeps masks as run lengths; other tasks take the plain one."""
    if runner.default_scope.scope_name == 'mmdet':
        from mmdet.evaluation import DumpDetResults

        return DumpDetResults(out_file_path=path)
    return DumpResults(out_file_path=path)
