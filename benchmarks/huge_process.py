"""One measurement of `benchmarks.huge_images`, in a process of its own; prints it as JSON."""

import argparse
import json
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import rasterio
import torch
from mmengine.config import Config
from rasterio.windows import Window
from torch import nn

import mmvig
from mmvig.apis.huge_images.form import Form
from mmvig.apis.huge_images.image import RasterImage
from mmvig.apis.huge_images.job import Job, LabelFile
from mmvig.apis.huge_images.predict import predict_huge
from mmvig.apis.inference import Predictor
from mmvig.datasets.shapes import CLASSES, PALETTE, draw
from mmvig.engine.build import build_model
from mmvig.streaming import ArraySink, Workspace, plan_segmentation, stream_segmentation

WIDTHS = {'nano': [32, 64, 128, 256], 'tiny': [96, 192, 384, 768]}
TILE = 256


def make_config(arch: str) -> Config:
    """UperNet with light heads on ViG of an arch."""
    cfg = Config.fromfile(mmvig.get_config('vig_upernet_mini'))
    cfg.model.backbone.arch = arch
    cfg.model.decode_head.in_channels = WIDTHS[arch]
    cfg.model.auxiliary_head.in_channels = WIDTHS[arch][2]
    return cfg


def make_predictor(arch: str, work: Path) -> Predictor:
    cfg = make_config(arch)
    checkpoint = work / f'{arch}.pth'
    if not checkpoint.is_file():
        torch.manual_seed(0)
        meta = {'classes': ('ground', *CLASSES), 'palette': [[110] * 3, *map(list, PALETTE)]}
        state = build_model(cfg).state_dict()
        torch.save({'state_dict': state, 'meta': {'dataset_meta': meta}}, checkpoint)
    return Predictor(cfg, str(checkpoint), 'cpu')


def make_image(path: Path, side: int) -> None:
    """A square of drawn pictures, in tiles, written a row of tiles at a time."""
    if path.is_file():
        return
    settings = dict(driver='GTiff', height=side, width=side, count=3, dtype='uint8',
                    photometric='RGB', tiled=True, compress='deflate', bigtiff='yes')  # fmt: skip
    part = path.with_suffix('.part')
    with rasterio.open(part, 'w', blockxsize=TILE, blockysize=TILE, **settings) as file:
        for row in range(-(-side // TILE)):
            pictures = [draw(97 * row + i)[0] for i in range(12)]
            tiles = [np.resize(picture[..., ::-1], (TILE, TILE, 3)) for picture in pictures]
            rows_YXC = np.concatenate(tiles * (side // TILE // 12 + 1), axis=1)[:, :side]
            height = min(TILE, side - row * TILE)
            window = Window(0, row * TILE, side, height)
            file.write(rows_YXC[:height].transpose(2, 0, 1), window=window)
    part.replace(path)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(predictor: Predictor, path: Path, side: int, work: Path) -> dict[str, float]:
    """Memory and time of a prediction from file to file."""
    model_mib = peak_mib()
    with tempfile.TemporaryDirectory(dir=work) as folder:
        labels = LabelFile(Path(folder, 'labels.tif'), np.uint8)
        start, cpu = time.perf_counter(), time.process_time()
        predict_huge(predictor, Job(path, [labels], Path(folder, 'maps')))
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    with RasterImage(path, Form.COLOR) as image:
        plan = plan_segmentation(predictor.model, image, ArraySink())
    megapixels = side**2 / 1e6
    return dict(
        peak_mib=round(peak_mib()),
        model_mib=round(model_mib),
        temporary_gib=round(plan.needed_bytes / 2**30, 2),
        seconds=round(seconds, 1),
        seconds_per_megapixel=round(seconds / megapixels, 3),
        cpu_seconds_per_megapixel=round(cpu / megapixels, 3),
    )


@torch.inference_mode()
def compare(model: nn.Module, path: Path) -> dict[str, float]:
    """The same image by strips and in memory."""
    with RasterImage(path, Form.COLOR) as image, Workspace() as workspace:
        labels, logits = ArraySink(), ArraySink()
        stream_segmentation(model, image, labels, workspace, logits=logits, channel_order='bgr')
        pixels_CYX = torch.from_numpy(image.read(0, image.shape[0])).permute(2, 0, 1)
    batch = model.data_preprocessor({'inputs': [pixels_CYX]}, False)
    (sample,) = model.predict(batch['inputs'])
    expected = sample.seg_logits.data.permute(1, 2, 0).numpy()
    differ = labels.array != sample.pred_sem_seg.data[0].numpy()
    error = np.abs(logits.array - expected).max() / np.abs(expected).max()
    return dict(relative_error=f'{error:.1e}', labels_differ=int(differ.sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('arch', choices=WIDTHS)
    parser.add_argument('side', type=int)
    parser.add_argument('--work', type=Path, required=True)
    parser.add_argument('--compare', action='store_true')
    args = parser.parse_args()
    warnings.simplefilter('ignore')
    args.work.mkdir(parents=True, exist_ok=True)
    path = args.work / f'{args.side}.tif'
    make_image(path, args.side)
    predictor = make_predictor(args.arch, args.work)
    row = measure(predictor, path, args.side, args.work)
    row |= dict(relative_error='', labels_differ='')
    if args.compare:
        row |= compare(predictor.model, path)
    sys.stdout.write(f'\n{json.dumps(row)}\n')


if __name__ == '__main__':
    main()
