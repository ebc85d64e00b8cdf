"""Evaluate a model: `python tools/test.py CONFIG CHECKPOINT`, or `python -m mmvig test …`."""

from pathlib import Path

from mmengine.evaluator import DumpResults
from mmengine.runner import Runner

from .run import UserError, check_checkpoint, check_data, command, load_config, parser, run


@command
def main() -> None:
    options = parser('Evaluate a model.')
    options.add_argument('checkpoint', help='path of a checkpoint')
    options.add_argument('--out', metavar='FILE.pkl', help='write the predictions to a pickle file')
    options.add_argument('--show-dir', metavar='DIR', help='draw truth and predictions into DIR')
    args = options.parse_args()
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        raise UserError(f'expected --out to end in .pkl or .pickle, got {args.out}')
    cfg = load_config(args)
    check_checkpoint(args.checkpoint)
    check_data(cfg, 'test')
    cfg.load_from = args.checkpoint
    if args.show_dir:
        if 'visualization' not in cfg.default_hooks:
            raise UserError('--show-dir needs default_hooks.visualization in the config')
        cfg.default_hooks.visualization.update(
            draw=True, test_out_dir=str(Path(args.show_dir).resolve())
        )

    def action(runner: Runner) -> None:
        if args.out:
            runner.test_evaluator.metrics.append(_dump(runner, args.out))
        runner.test()

    run(cfg, action)


def _dump(runner: Runner, path: str) -> DumpResults:
    """mmdet's dump keeps masks as run lengths; other tasks take the plain one."""
    if runner.default_scope.scope_name == 'mmdet':
        from mmdet.evaluation import DumpDetResults

        return DumpDetResults(out_file_path=path)
    return DumpResults(out_file_path=path)
