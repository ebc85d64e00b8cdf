"""One training step of a whole detector or segmenter at its real size, by part.

    python -m benchmarks.training det --csv benchmarks/results/step_time.csv   # 800×1333
    python -m benchmarks.training seg --csv benchmarks/results/step_time.csv   # UperNet, 512×512
    python -m benchmarks.training det --csv … --trace traces                   # also Chrome traces

Pipeline, data preprocessor, heads and optimizer are the config's own (det is Mask R-CNN); the
backbones, ViG tiny and mmdet's Swin-T, take turns within one run; the image is drawn. Milliseconds
are medians: `data` is the pipeline of a batch in one process, `backbone` its forward pass, `heads`
neck, heads and losses, `backward` and `optimizer` the rest of the step. `peak_mib` is the growth of
memory over a step, not counting weights and the optimizer's states.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
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
from benchmarks.options import make_parser, parse_args
from benchmarks.processor import describe_cpu
from benchmarks.rows import device_name, keep, origin
from benchmarks.timing import allocator, peak_bytes
from mmvig import get_config
from mmvig.datasets.shapes import draw

CONFIGS = {'det': 'vig_maskrcnn', 'seg': 'vig_upernet'}
MODELS_COMPARED = ('vig-tiny', 'swin-t')
MODELS_MINI = ('vig-nano',)
PARTS = ('data', 'backbone', 'heads', 'backward', 'optimizer')
KEY = ('model', 'config', 'batch', 'dtype', 'device', 'cpu', 'threads', 'allocator')
SIDE = (640, 480)  # of the drawn image, as most of COCO's are


def sample(kind: str, folder: Path) -> dict:
    """One drawn image of COCO's usual size, as a data set hands it to the pipeline."""
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
    """Model, optimizer and pipeline of a config, with another backbone."""

    def __init__(self, name: str, cfg: Config, args: argparse.Namespace) -> None:
        cfg = cfg.copy()
        cfg.model.backbone.init_cfg = None
        self.model = MODELS.build(cfg.model)
        self.model.backbone = BUILDERS[name]()
        self.model.to(args.device).train()
        amp = {
            'float32': {},
            'float16': dict(type='AmpOptimWrapper', dtype='float16'),
            'bfloat16': dict(type='mmvig.BFloat16OptimWrapper'),
        }
        self.optimizer = build_optim_wrapper(self.model, {**cfg.optim_wrapper, **amp[args.dtype]})
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


def measure(args: argparse.Namespace) -> Iterator[dict]:
    """A row for each model."""
    name_of_config = CONFIGS[args.kind] + ('_mini' if args.mini else '')
    models = MODELS_MINI if args.mini else MODELS_COMPARED
    cfg = Config.fromfile(get_config(name_of_config))
    init_default_scope(cfg.default_scope)
    with tempfile.TemporaryDirectory() as folder:
        args.item = sample(args.kind, Path(folder))
        trainings = {name: Training(name, cfg, args) for name in models}
        rounds = []
        for _ in range(args.runs + 1):  # the first one warms up
            torch.manual_seed(0)
            rounds.append({name: training.step() for name, training in trainings.items()})
        totals = [{name: sum(step.values()) for name, step in r.items()} for r in rounds[1:]]
        for name, training in trainings.items():
            parts = {part: statistics.median(r[name][part] for r in rounds[1:]) for part in PARTS}
            vs_swin_t = ''
            if 'swin-t' in trainings:
                vs_swin_t = round(statistics.median(t[name] / t['swin-t'] for t in totals), 3)
            if args.trace:
                trace(training, args.trace / f'{args.kind}-{name}.json')
            row = dict(
                model=name, config=name_of_config, batch=args.batch, dtype=args.dtype,
                device=device_name(args.device), threads=torch.get_num_threads(),
                allocator=allocator(), ms=round(statistics.median(t[name] for t in totals), 1),
                vs_swin_t=vs_swin_t,
                **{part: round(ms, 1) for part, ms in parts.items()},
                peak_mib=round(peak_bytes(args.device, training.step) / 2**20, 1), runs=args.runs,
            )  # fmt: skip
            yield row | describe_cpu(args.device) | origin()


def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser(__doc__, runs=5)
    parser.add_argument('kind', choices=CONFIGS)
    parser.add_argument('--batch', type=int, help='2 by default; 1 for det on a CPU')
    parser.add_argument('--mini', action='store_true', help='the mini config, only ViG nano')
    parser.add_argument('--trace', type=Path, help='folder for Chrome traces of one step each')
    args = parse_args(parser, argv, gpu_dtype='float32')
    # UperNet normalizes 1×1 maps over the batch, which needs two images.
    args.batch = args.batch or (1 if (args.kind, args.device) == ('det', 'cpu') else 2)
    MMLogger.get_instance('mmengine', log_level='WARNING')  # no line for each initialized weight
    shown = ('model', 'config', 'ms', 'vs_swin_t', *PARTS, 'peak_mib')
    keep(args.csv, measure(args), KEY, shown)


if __name__ == '__main__':
    main()
