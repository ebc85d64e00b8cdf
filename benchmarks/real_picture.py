"""Truth beside prediction on validation images, the outlines of objects over the photo.

python -m benchmarks.real_picture CONFIG CHECKPOINT --images 18 27 39 114 --out docs/nuclei.jpg
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmdet.apis import init_detector
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from mmengine.structures import InstanceData

from mmvig.deploy.sheet import contact_sheet

SCORE = 0.5
WIDTH = 480  # of each half
GAP = 6
COLORS = ((60, 220, 60), (240, 150, 30), (60, 90, 240), (40, 210, 230))  # BGR


def draw_sheet(cfg: Config, checkpoint: str, shown: Sequence[int], target: Path) -> None:
    """Images at these places of the validation set."""
    model = init_detector(cfg, checkpoint, device='cpu')
    init_default_scope('mmdet')
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    with tempfile.TemporaryDirectory() as folder:
        pictures = []
        for i in shown:
            sample = dataset[i]
            image_YXC = sample['inputs'].permute(1, 2, 0).numpy()
            truth = sample['data_samples'].gt_instances
            batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
            (found,) = model.test_step(batch)
            found = found.pred_instances[found.pred_instances.scores >= SCORE]
            halves = [outline(image_YXC, instances) for instances in (truth, found)]
            gap = np.full((len(halves[0]), GAP, 3), 255, np.uint8)
            pictures.append(Path(folder, f'{i}.png'))
            cv2.imwrite(str(pictures[-1]), np.hstack([halves[0], gap, halves[1], gap]))
        target.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(pictures, target, columns=2, width=2 * (WIDTH + GAP))


def outline(image_YXC: np.ndarray, instances: InstanceData) -> np.ndarray:
    """The photo at `WIDTH`, with masks outlined in turn of colors, or boxes by class."""
    scale = WIDTH / image_YXC.shape[1]
    picture = cv2.resize(image_YXC, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    if 'masks' in instances:
        for i, mask_YX in enumerate(as_array(instances.masks)):
            enlarged = cv2.resize(mask_YX.astype(np.float32), picture.shape[1::-1])
            edges, _ = cv2.findContours(
                (enlarged > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
            )
            cv2.drawContours(picture, edges, -1, COLORS[i % len(COLORS)], 1, cv2.LINE_AA)
    else:
        boxes = np.rint(as_array(instances.bboxes) * scale).astype(int).tolist()
        for (left, top, right, bottom), label in zip(boxes, instances.labels, strict=True):
            cv2.rectangle(picture, (left, top), (right, bottom), COLORS[label % len(COLORS)], 2)
    return picture


def as_array(values) -> np.ndarray:
    """Of masks and boxes in any of mmdet's forms."""
    values = getattr(values, 'masks', getattr(values, 'tensor', values))
    return values if isinstance(values, np.ndarray) else values.cpu().numpy()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', type=Path)
    parser.add_argument('checkpoint')
    parser.add_argument('--images', nargs='+', type=int, required=True, help='their places')
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args(argv)
    draw_sheet(Config.fromfile(args.config), args.checkpoint, args.images, args.out)


if __name__ == '__main__':
    main()
