"""Train Mask R-CNN on the mini data set, evaluate it and draw its predictions.

Writes to work_dirs/demo: metrics.json, and predictions/ with truth (left) and prediction (right) of
every validation image, and sheet.png with twelve of them.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from mmvig.cli.sheet import contact_sheet

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'configs/det/vig_maskrcnn_mini.py'
WORK = ROOT / 'work_dirs/demo'
METRICS = ('coco/bbox_mAP', 'coco/segm_mAP')


def tool(name: str, *args: str | Path) -> None:
    subprocess.run([sys.executable, f'tools/{name}.py', *args], check=True, cwd=ROOT)


def main() -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    start = time.monotonic()
    tool('train', CONFIG, '--work-dir', WORK)
    checkpoint = (WORK / 'last_checkpoint').read_text().strip()
    tool(
        'test', CONFIG, checkpoint, '--work-dir', WORK / 'test', '--show-dir', WORK / 'predictions'
    )
    seconds = time.monotonic() - start

    (written,) = (WORK / 'test').glob('*/*.json')
    found = json.loads(written.read_text())
    metrics = {name: found[name] for name in METRICS} | {'seconds': round(seconds, 1)}
    (WORK / 'metrics.json').write_text(json.dumps(metrics, indent=2) + '\n')
    contact_sheet(sorted((WORK / 'predictions').glob('*.jpg'))[:12], WORK / 'sheet.png')
    sys.stdout.write(f'{WORK.relative_to(ROOT)}/metrics.json: {json.dumps(metrics)}\n')


if __name__ == '__main__':
    main()
