"""One way to predict with a model of any host: pictures and numbers into a folder."""

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmvig import checkpoint as checkpoints

TASKS = {'mmdet': 'detection', 'mmseg': 'segmentation', 'mmpretrain': 'classification'}


class Predictor:
    """The inferencer of a config's own library.

    A call writes `vis/` (pictures) and, by name of the image, `preds/*.json` (mmdet: boxes, masks,
    scores), `pred/*.png` (mmseg: label maps) or `preds.json` (mmpretrain: classes).

    Args:
        cfg: with default_scope mmdet, mmseg or mmpretrain.
        path: of a checkpoint of the whole model.
        device: such as 'cpu' or 'cuda:0'; None for a GPU if there is one.

    Raises:
        FileNotFoundError, ValueError: the scope is another, or the checkpoint cannot be read or
            does not fit.
    """

    def __init__(self, cfg: Config, path: str, device: str | None = None) -> None:
        scope = cfg.get('default_scope')
        if scope not in TASKS:
            raise ValueError(
                f'expected a config with default_scope mmdet, mmseg or mmpretrain, got {scope!r}'
            )
        weights = checkpoints.weights_of(checkpoints.read(path), path)
        init_default_scope(scope)
        self.cfg = cfg
        self.scope = scope
        self.task = TASKS[scope]
        self.inferencer = _make_inferencer(scope, cfg, path, device)
        checkpoints.check_fit(self.inferencer.model, weights, path)

    @torch.inference_mode()
    def __call__(
        self, images: list[Path], out: Path, batch_size: int = 1, score_thr: float = 0.3
    ) -> None:
        """Predict images of different names; boxes (mmdet) are drawn from `score_thr` on."""
        init_default_scope(self.scope)
        names = [str(image) for image in images]
        (out / 'vis').mkdir(parents=True, exist_ok=True)
        if self.scope == 'mmdet':
            self.inferencer(
                names,
                batch_size=batch_size,
                out_dir=str(out),
                no_save_pred=False,
                pred_score_thr=score_thr,
            )
        elif self.scope == 'mmseg':
            first = self.inferencer.num_pred_imgs
            self.inferencer(names, batch_size=batch_size, out_dir=str(out), opacity=0.5)
            for i, image in enumerate(images, first):  # the host numbers them, over all calls
                (out / f'pred/{i:08d}_pred.png').replace(out / f'pred/{image.stem}.png')
        else:
            results = self.inferencer(names, batch_size=batch_size, show_dir=str(out / 'vis'))
            classes = {
                image.name: {
                    'class': result.get('pred_class', int(result['pred_label'])),
                    'score': float(result['pred_score']),
                }
                for image, result in zip(images, results, strict=True)
            }
            (out / 'preds.json').write_text(json.dumps(classes, indent=2) + '\n')

    def summary(self, image: Path, out: Path, score_thr: float = 0.3) -> str:
        """What a call found in an image, in a line: instances, share of the pixels, or class."""
        if self.scope == 'mmpretrain':
            found = json.loads((out / 'preds.json').read_text())[image.name]
            return f'{found["class"]}, {100 * found["score"]:.0f} %'
        classes = self.inferencer.visualizer.dataset_meta['classes']
        if self.scope == 'mmdet':
            found = json.loads((out / f'preds/{image.stem}.json').read_text())
            scored = zip(found['labels'], found['scores'], strict=True)
            counts = Counter(classes[label] for label, score in scored if score >= score_thr)
            listing = ', '.join(f'{count} × {kind}' for kind, count in counts.most_common())
            return listing or f'nothing with a score of {score_thr:g} or more'
        labels = cv2.imread(str(out / f'pred/{image.stem}.png'), cv2.IMREAD_UNCHANGED)
        shares = Counter(dict(zip(*np.unique(labels, return_counts=True), strict=True)))
        return ', '.join(
            f'{classes[label]} {100 * count / labels.size:.0f} %'
            for label, count in shares.most_common()
        )


def _make_inferencer(scope: str, cfg: Config, path: str, device: str | None):
    if scope == 'mmdet':
        from mmdet.apis import DetInferencer

        return DetInferencer(cfg, path, device=device, show_progress=False)
    if scope == 'mmseg':
        from mmseg.apis import MMSegInferencer

        inferencer = MMSegInferencer(cfg, path, device=device)
        inferencer.show_progress = False  # the upstream one takes no such argument
        return inferencer
    from mmpretrain.apis import ImageClassificationInferencer

    return ImageClassificationInferencer(cfg, path, device=device)
