"""Train on the mini data set, evaluate and draw: `tools/demo.py [det|seg]`.

det (the default) trains Mask R-CNN, seg UperNet. Writes to work_dirs/demo or work_dirs/demo-seg:
metrics.json and predictions/ with truth (left) and prediction (right) of every validation image,
twelve of them on predictions/sheet.png.
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
    config, name, keys = TASKS[parser.parse_args(argv).task]
    work = ROOT / 'work_dirs' / name
    shutil.rmtree(work, ignore_errors=True)
    start = time.monotonic()
    run_tool('train', config, '--work-dir', work)
    checkpoint = (work / 'last_checkpoint').read_text().strip()
    pictures = work / 'predictions'
    run_tool('test', config, checkpoint, '--work-dir', work / 'test', '--show-dir', pictures)
    seconds = time.monotonic() - start

    (log,) = (work / 'test').glob('*/*.json')
    logged = json.loads(log.read_text())
    metrics = {key: logged[key] for key in keys} | {'seconds': round(seconds, 1)}
    (work / 'metrics.json').write_text(json.dumps(metrics, indent=2) + '\n')
    sys.stdout.write(f'{work.relative_to(ROOT)}/metrics.json: {json.dumps(metrics)}\n')


def run_tool(name: str, *args: str | Path) -> None:
    subprocess.run([sys.executable, f'tools/{name}.py', *args], check=True, cwd=ROOT)


if __name__ == '__main__':
    main()
