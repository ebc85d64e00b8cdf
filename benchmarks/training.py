"""One training step of a whole detector or segmenter at its real size, by part.

    python -m benchmarks.training det --csv benchmarks/results/step_time.csv     # Mask R-CNN, 800×1333
    python -m benchmarks.training seg --csv benchmarks/results/step_time.csv     # UperNet, 512×512
    python -m benchmarks.training det --csv … --trace traces            # also Chrome traces

The config's own pipeline, data preprocessor, heads and optimizer, with ViG tiny and with mmdet's
Swin-T as the backbone, in turns within one run; the image is drawn. Milliseconds are medians:
`data` is the pipeline of a batch in one process, `backbone` its forward pass, `heads` neck, heads
and losses, `backward` and `optimizer` the rest of the step. `peak_mib` is the growth of memory over
a step, weights and the optimizer's states not counted.
"""

import argparse
import statistics
import sys
import tempfile
import time
from copy import deepcopy
from pathlib import Path

import cv2
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from torch.profiler import profile

from benchmarks.models import BUILDERS
from benchmarks.rows import device_name, merge, origin
from benchmarks.timing import allocator, peak_bytes
from mmvig import get_config
from mmvig.datasets.shapes import draw

CONFIGS = {'det': 'vig_maskrcnn', 'seg': 'vig_upernet'}
MODELS_COMPARED = ('vig-tiny', 'swin-t')
PARTS = ('data', 'backbone', 'heads', 'backward', 'optimizer')
KEY = ('model', 'config', 'batch', 'dtype', 'device', 'threads', 'allocator')
SIDE = (640, 480)  # of the drawn image, as most of COCO's are


def sample(kind: str, folder: Path) -> dict:
    """What a data set would hand to the pipeline: one drawn image of COCO's usual size."""
    image, labels, shapes = draw(0)
    paths = [str(folder / name) for name in ('image.jpg', 'labels.png')]
    nearest = dict(interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(paths[0], cv2.resize(image, SIDE))
    cv2.imwrite(paths[1], cv2.resize(labels, SIDE, **nearest))
    if kind == 'seg':
        return dict(img_path=paths[0], seg_map_path=paths[1], reduce_zero_label=True, seg_fields=[])
    instances = []
    for category, mask in shapes:
        outlines, _ = cv2.findContours(
            cv2.resize(mask, SIDE, **nearest), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        outline = max(outlines, key=cv2.contourArea)
        x, y, width, height = cv2.boundingRect(outline)
        instances.append(
            dict(
                bbox=[x, y, x + width, y + height], bbox_label=category, ignore_flag=0,
                mask=[outline.flatten().astype(float).tolist()],
            )
        )  # fmt: skip
    return dict(img_path=paths[0], img_id=0, height=SIDE[1], width=SIDE[0], instances=instances)


class Training:
    """Model, optimizer and pipeline of a config, with the backbone exchanged."""

    def __init__(self, name: str, cfg: Config, args: argparse.Namespace) -> None:
        cfg = cfg.copy()
        cfg.model.backbone.init_cfg = None
        self.model = MODELS.build(cfg.model)
        self.model.backbone = BUILDERS[name]()
        self.model.to(args.device).train()
        amp = dict(type='AmpOptimWrapper', dtype=args.dtype) if args.dtype != 'float32' else {}
        self.optimizer = build_optim_wrapper(self.model, {**cfg.optim_wrapper, **amp})
        self.pipeline = Compose([TRANSFORMS.build(x) for x in cfg.train_pipeline])
        self.item, self.batch = args.item, args.batch
        self.spent = dict.fromkeys(PARTS, 0.0)
        backbone = self.model.backbone
        backbone.register_forward_pre_hook(lambda *_: self._start())
        backbone.register_forward_hook(lambda *_: self._stop('backbone'))

    def step(self) -> dict[str, float]:
        """Milliseconds of each part of one step."""
        self._start()
        data = pseudo_collate([self.pipeline(deepcopy(self.item)) for _ in range(self.batch)])
        self._stop('data')
        start = self._now()
        with self.optimizer.optim_context(self.model):
            data = self.model.data_preprocessor(data, training=True)
            losses = self.model(**data, mode='loss')
        loss, _ = self.model.parse_losses(losses)
        self.spent['heads'] = self._now() - start - self.spent['backbone']
        self._start()
        self.optimizer.backward(loss)
        self._stop('backward')
        self._start()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._stop('optimizer')
        return dict(self.spent)

    def _now(self) -> float:
        if next(self.model.parameters()).is_cuda:
            torch.cuda.synchronize()
        return 1e3 * time.perf_counter()

    def _start(self) -> None:
        self.since = self._now()

    def _stop(self, part: str) -> None:
        self.spent[part] = self._now() - self.since


def trace(training: Training, path: Path) -> None:
    """Write a Chrome trace of one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with profile() as profiler:
        training.step()
    profiler.export_chrome_trace(str(path))


def measure(args: argparse.Namespace) -> list[dict]:
    cfg = Config.fromfile(get_config(CONFIGS[args.kind]))
    init_default_scope(cfg.default_scope)
    with tempfile.TemporaryDirectory() as folder:
        args.item = sample(args.kind, Path(folder))
        trainings = {name: Training(name, cfg, args) for name in MODELS_COMPARED}
        rounds = []
        for _ in range(args.runs + 1):  # the first one warms up
            torch.manual_seed(0)
            rounds.append({name: training.step() for name, training in trainings.items()})
        rows = []
        for name, training in trainings.items():
            steps = [r[name] for r in rounds[1:]]
            totals = [sum(s.values()) for s in steps]
            others = [sum(r['swin-t'].values()) for r in rounds[1:]]
            ratio = statistics.median(a / b for a, b in zip(totals, others, strict=True))
            if args.trace:
                trace(training, args.trace / f'{args.kind}-{name}.json')
            rows.append(
                dict(
                    model=name, config=CONFIGS[args.kind], batch=args.batch, dtype=args.dtype,
                    device=device_name(args.device), threads=torch.get_num_threads(),
                    allocator=allocator(), ms=round(statistics.median(totals), 1),
                    vs_swin_t=round(ratio, 3),
                    **{part: round(statistics.median(s[part] for s in steps), 1) for part in PARTS},
                    peak_mib=round(peak_bytes(args.device, training.step) / 2**20, 1),
                    runs=args.runs, **{k: v for k, v in origin().items() if k != 'threads'},
                )
            )  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('kind', choices=CONFIGS)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--batch', type=int, default=None, help='2; det on a CPU 1')
    parser.add_argument('--dtype', choices=('float32', 'bfloat16', 'float16'), default='float32')
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--csv', type=Path, required=True)
    parser.add_argument('--trace', type=Path, help='folder for Chrome traces of one step each')
    args = parser.parse_args()
    # Batch norms of UperNet's pooled maps need two images.
    args.batch = args.batch or (1 if (args.kind, args.device) == ('det', 'cpu') else 2)
    MMLogger.get_instance('mmengine', log_level='WARNING')  # not a line for each weight
    rows = measure(args)
    merge(args.csv, rows, KEY)
    for row in rows:
        shown = ('model', 'config', 'ms', 'vs_swin_t', *PARTS, 'peak_mib')
        sys.stdout.write('  '.join(f'{key} {row[key]}' for key in shown) + '\n')


if __name__ == '__main__':
    main()
