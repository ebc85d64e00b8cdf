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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TASKS = {
    'det': ('configs/det/vig_maskrcnn_mini.py', 'demo', ('coco/bbox_mAP', 'coco/segm_mAP')),
    'seg': ('configs/seg/vig_upernet_mini.py', 'demo-seg', ('mIoU', 'aAcc')),
}


def tool(name: str, *args: str | Path) -> None:
    subprocess.run([sys.executable, f'tools/{name}.py', *args], check=True, cwd=ROOT)


def main() -> None:
    parser = argparse.ArgumentParser(description='Train on the mini data set, evaluate and draw.')
    parser.add_argument('task', nargs='?', choices=TASKS, default='det')
    config, name, wanted = TASKS[parser.parse_args().task]
    work = ROOT / 'work_dirs' / name
    shutil.rmtree(work, ignore_errors=True)
    start = time.monotonic()
    tool('train', config, '--work-dir', work)
    checkpoint = (work / 'last_checkpoint').read_text().strip()
    shown = work / 'predictions'
    tool('test', config, checkpoint, '--work-dir', work / 'test', '--show-dir', shown)
    seconds = time.monotonic() - start

    (written,) = (work / 'test').glob('*/*.json')
    found = json.loads(written.read_text())
    metrics = {key: found[key] for key in wanted} | {'seconds': round(seconds, 1)}
    (work / 'metrics.json').write_text(json.dumps(metrics, indent=2) + '\n')
    sys.stdout.write(f'{work.relative_to(ROOT)}/metrics.json: {json.dumps(metrics)}\n')


if __name__ == '__main__':
    main()
