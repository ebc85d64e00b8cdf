"""One training of `benchmarks.real_images`, in a process of its own and on one thread.

    OMP_NUM_THREADS=1 python -m benchmarks.real_training CONFIG WORK_DIR --iterations 1072

The same command goes on with a training that was stopped. `measured.json` in the work dir is
written last.
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

import mmvig.cli.train
from benchmarks.processor import describe_cpu
from benchmarks.rows import device_name
from mmvig.engine.build import build_model
from mmvig.engine.resume import atomic_file
from mmvig.visualization.training_curves import read_run

KINDS = ('bbox', 'segm')
SECONDS = 'training_cpu_seconds'
CHECKPOINTS = 8  # of a training, at which it goes on


@HOOKS.register_module()
class TrainingSecondsHook(Hook):
    """Logs with each evaluation the CPU seconds of all iterations before it, over all threads.

    Reading images counts; evaluations do not, nor what precedes the first iteration of a start, nor
    iterations after the last checkpoint of a training that was stopped, which are repeated. Of
    evaluations it logs the seconds of an image, from what is read to what is found.
    """

    priority = 'VERY_HIGH'  # before the checkpoint is saved, which holds the seconds

    def before_train(self, runner) -> None:
        self._seconds = runner.message_hub.get_info(SECONDS, 0.0)
        self._evaluation = 0.0

    def before_train_epoch(self, runner) -> None:
        self._since = None

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        if self._since is None:  # a resumed loop has just passed over all former batches
            self._since = time.process_time()

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        now = time.process_time()
        self._seconds += now - self._since
        self._since = now
        runner.message_hub.update_info(SECONDS, self._seconds)

    def before_val_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        self._evaluation -= time.process_time()

    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self._evaluation += time.process_time()

    def after_val_epoch(self, runner, metrics=None) -> None:
        each = self._evaluation / len(runner.val_dataloader.dataset)
        runner.message_hub.update_scalar('val/cpu_seconds', self._seconds)
        runner.message_hub.update_scalar('val/cpu_seconds_of_an_image', each)
        self._since = time.process_time()
        self._evaluation = 0.0


def prepare(cfg: Config, iterations: int, evaluations: int, rate: float, seed: int) -> None:
    """Train by iterations instead of epochs: with a schedule of any length, and to be stopped.

    The warm-up keeps its share of the schedule. Images are read by the process itself, so that
    its time is all that is spent. Checkpoints are more frequent than evaluations.
    """
    loader = cfg.train_dataloader
    annotations = json.loads(Path(loader.dataset.data_root, loader.dataset.ann_file).read_text())
    epoch = -(-len(annotations['images']) // loader.batch_size)
    share = iterations / (cfg.train_cfg.max_epochs * epoch)
    interval = -(-iterations // evaluations)
    saved = -(-iterations // CHECKPOINTS)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=interval)
    warm_up, cosine = cfg.param_scheduler
    warm_up.end = max(1, round(warm_up.end * share))
    cosine.update(by_epoch=False, end=iterations, convert_to_iter_based=False)
    cfg.optim_wrapper.optimizer.lr = rate
    cfg.randomness = dict(seed=seed)
    loader.sampler = dict(type='InfiniteSampler', shuffle=True)
    for each in (loader, cfg.val_dataloader):
        each.update(num_workers=0, persistent_workers=False)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=saved, save_best=None)
    cfg.default_hooks.logger.update(interval=50, log_metric_by_epoch=False)
    cfg.log_processor = dict(type='LogProcessor', window_size=50, by_epoch=False)
    cfg.custom_hooks = [dict(type='TrainingSecondsHook')]


def set_scale(cfg: Config, scale: float) -> None:
    """Give images a size times that of their files; crops see what they saw."""
    loaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    datasets = [loader.dataset for loader in loaders]
    (own,) = (step.scale_factor for step in resizes(datasets[1].pipeline))
    for dataset in datasets:
        for step in resizes(dataset.pipeline):
            step.scale_factor *= scale / own


def resizes(pipeline: Iterable[dict]) -> Iterator[dict]:
    for step in pipeline:
        if step['type'] == 'Resize':
            yield step
        for choice in step.get('transforms', ()):
            yield from resizes(choice)


def evaluate_every(cfg: Config, step: int, work_dir: Path) -> None:
    """Evaluate on every `step`-th image of the validation set only."""
    dataset = cfg.val_dataloader.dataset
    content = json.loads(Path(dataset.data_root, dataset.ann_file).read_text())
    content['images'] = content['images'][::step]
    kept = {entry['id'] for entry in content['images']}
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] in kept]
    path = work_dir.resolve() / 'validation.json'
    path.write_text(json.dumps(content))
    dataset.ann_file = cfg.val_evaluator.ann_file = str(path)


def points(work_dir: Path, kinds: Sequence[str]) -> list[dict[str, float]]:
    """What each evaluation found: iteration, CPU seconds of training, AP ('' of no such kind).

    mmdet has no metrics where nothing is detected at all, which is an AP of 0.
    """
    curves = read_run(work_dir).metrics
    values = {name: {p.step: p.value for p in curve} for name, curve in curves.items()}
    return [
        dict(
            iteration=int(step), cpu_seconds=round(seconds, 1),
            cpu_seconds_of_an_image=round(values['cpu_seconds_of_an_image'][step], 3),
        )
        | {
            f'{kind}_mAP': values.get(f'coco/{kind}_mAP', {}).get(step, 0.0)
            if kind in kinds
            else ''
            for kind in KINDS
        }
        for step, seconds in sorted(values['cpu_seconds'].items())
    ]  # fmt: skip


def count(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', type=Path)
    parser.add_argument('work_dir', type=Path)
    parser.add_argument('--iterations', type=int, required=True)
    parser.add_argument('--evaluations', type=int, default=2)
    parser.add_argument('--every', type=int, default=1, help='n-th validation image to evaluate on')
    parser.add_argument('--rate', type=float, default=1e-3)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--scale', type=float, help="of images over the files' own")
    args = parser.parse_args(argv)
    cfg = Config.fromfile(args.config)
    prepare(cfg, args.iterations, args.evaluations, args.rate, args.seed)
    if args.scale:
        set_scale(cfg, args.scale)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    if args.every > 1:
        evaluate_every(cfg, args.every, args.work_dir)
    path = args.work_dir / 'training.py'
    cfg.dump(path)
    mmvig.cli.train.main([str(path), '--work-dir', str(args.work_dir), '--resume'])
    model = build_model(cfg)
    metric = cfg.val_evaluator.metric
    evaluated = [metric] if isinstance(metric, str) else metric
    measured = dict(
        backbone_parameters=count(model.backbone), parameters=count(model),
        points=points(args.work_dir, evaluated), device=device_name('cpu'), **describe_cpu(),
        threads=torch.get_num_threads(),
    )  # fmt: skip
    atomic_file.write(args.work_dir / 'measured.json', json.dumps(measured).encode())


if __name__ == '__main__':
    torch.set_num_threads(1)
    main()
