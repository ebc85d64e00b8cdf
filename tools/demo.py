"""Train on the mini data set, evaluate and draw: `tools/demo.py [det|seg] [--data FOLDER]`.

det (the default) trains Mask R-CNN, seg UperNet. Writes to work_dirs/demo or work_dirs/demo-seg:
metrics.json and predictions/ with truth (left) and prediction (right) of every validation image,
twelve of them on predictions/sheet.png.

With a folder of data of one's own, the config is what `mmvig new-config` writes for it, and all
goes to work_dirs/demo-data or work_dirs/demo-data-seg.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

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
    run_tool('train', config, '--work-dir', work)
    checkpoint = (work / 'last_checkpoint').read_text().strip()
    pictures = work / 'predictions'
    run_tool('test', config, checkpoint, '--work-dir', work / 'test', '--show-dir', pictures)
    seconds = time.monotonic() - start

    (log,) = (work / 'test').glob('*/*.json')
    logged = json.loads(log.read_text())
    keys = keys or [key for key in logged if not key.endswith('time')]
    metrics = {key: logged[key] for key in keys} | {'seconds': round(seconds, 1)}
    (work / 'metrics.json').write_text(json.dumps(metrics, indent=2) + '\n')
    sys.stdout.write(f'{work.relative_to(ROOT)}/metrics.json: {json.dumps(metrics)}\n')


def run_tool(name: str, *args: str | Path) -> None:
    run(f'tools/{name}.py', *args)


def run(*args: str | Path) -> None:
    subprocess.run([sys.executable, *args], check=True, cwd=ROOT)


if __name__ == '__main__':
    main()
