"""Train on the mini data set, evaluate and draw: `tools/demo.py [det|seg] [--data FOLDER]`.

det (the default) trains Mask R-CNN, seg UperNet. Writes to work_dirs/demo or work_dirs/demo-seg:
metrics.json and predictions/ with truth (left) and prediction (right) of every validation image,
twelve of them on predictions/sheet.png.

On two CPU cores and more, two processes train Mask R-CNN, each on half of every batch: models as
small as this gain little from a second thread. UperNet's batch norms need whole batches.

With a folder of data of one's own, the config is what `mmvig new-config` writes for it, and all
goes to work_dirs/demo-data or work_dirs/demo-data-seg.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
TASKS = {  # config, work dir, metrics
    'det': ('configs/det/vig_maskrcnn_mini.py', 'demo', ('coco/bbox_mAP', 'coco/segm_mAP')),
    'seg': ('configs/seg/vig_upernet_mini.py', 'demo-seg', ('mIoU', 'aAcc')),
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description='Train on the mini data set, evaluate and draw.')
    parser.add_argument('task', nargs='?', choices=TASKS, default='det')
    parser.add_argument('--data', metavar='FOLDER', help="a folder of one's own data")
    args = parser.parse_args(argv)
    config, name, keys = TASKS[args.task]
    work = ROOT / 'work_dirs' / (name.replace('demo', 'demo-data') if args.data else name)
    shutil.rmtree(work, ignore_errors=True)
    if args.data:
        config, keys = work / 'config.py', None
        run('-m', 'mmvig', 'new-config', args.task, Path(args.data).resolve(), '--out', config)
    start = time.monotonic()
    train(config, work, processes=min(2, cpu_cores()) if args.task == 'det' else 1)
    checkpoint = (work / 'last_checkpoint').read_text().strip()
    pictures = work / 'predictions'
    run('tools/test.py', config, checkpoint, '--work-dir', work / 'test', '--show-dir', pictures)
    seconds = time.monotonic() - start

    (log,) = (work / 'test').glob('*/*.json')
    logged = json.loads(log.read_text())
    keys = keys or [key for key in logged if not key.endswith('time')]
    metrics = {key: logged[key] for key in keys} | {'seconds': round(seconds, 1)}
    (work / 'metrics.json').write_text(json.dumps(metrics, indent=2) + '\n')
    sys.stdout.write(f'{work.relative_to(ROOT)}/metrics.json: {json.dumps(metrics)}\n')


def train(config: str | Path, work: Path, processes: int) -> None:
    batch = Config.fromfile(ROOT / config).train_dataloader.batch_size
    options = [config, '--work-dir', work]
    if processes == 1 or batch % processes:
        run('tools/train.py', *options)
        return
    launcher = ['-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={processes}']
    options += ['--launcher', 'pytorch']
    options += ['--cfg-options', f'train_dataloader.batch_size={batch // processes}']
    threads = os.environ.get('OMP_NUM_THREADS', str(cpu_cores() // processes))
    run(*launcher, 'tools/train.py', *options, OMP_NUM_THREADS=threads)


def cpu_cores() -> int:
    """Those that this process may use; one where a GPU does the work."""
    if torch.cuda.is_available():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()


def run(*args: str | Path, **environment: str) -> None:
    env = os.environ | environment
    subprocess.run([sys.executable, *args], check=True, cwd=ROOT, env=env)


if __name__ == '__main__':
    main()
