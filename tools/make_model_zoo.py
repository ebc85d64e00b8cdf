"""Write docs/model-zoo.md, the tables of all configs and backbones.

Configs come from configs/*/metafile.yml, the comparison of backbones from
benchmarks/results/mini_set_backbones.csv.
"""

import csv
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
TITLES = {
    'det': 'Detection',
    'seg': 'Segmentation',
    'cls': 'Classification',
    'real': 'Small public sets',
}
HEAD = """# Model zoo

*Written by `tools/make_model_zoo.py` from the metafiles, which `tools/make_metafile.py` writes.*

Every config is listed here by the name that all commands accept; its header has the command and the
cost. Parameters are those of the whole model. Multiply-adds are counted for one image of the given
size, including the recurrence. Results are measured here
(`benchmarks/results/mini_set_results.csv`) unless marked as published; a dash means not yet
measured. No detection or segmentation result of ViG has been published.
"""
BACKBONES = """
## Backbones

All share blocks, operator, options and tests.

| type | arch and parameters (M) | maps at strides | what it is |
|---|---|---|---|
| `mmvig.MultiScaleViG` | nano 1.69, tiny 27.83, small 49.28, base 87.88 | 4, 8, 16, 32 | ViG-H-T, \
-S, -B of the paper, with a norm for each map (published top-1: 82.8, 83.8, 84.2); official \
weights load |
| `mmvig.PlainViG` | nano 1.35, tiny 5.64, small 22.23, base 88.25 | 16 | ViG-T, -S, -B (published \
top-1: 77.2, 81.7, 82.6; with the head 5.83, 22.62, 89.02 M); official weights load |
| `mmvig.ViR` | nano 1.32, tiny 5.53, small 21.67, base 85.82, large 303.35 | 16 | retention \
([arXiv 2310.19731](https://arxiv.org/abs/2310.19731)) in parallel, chunkwise and recurrent form \
with equal numbers, autoregressive or bidirectional |
| `mmvig.LinGlo` | nano 1.80, tiny 11.35, small 28.14 | 4, 8, 16, 32 | key-only attention \
alternating with convolution: our reading of the abstract of \
[arXiv 2207.00188](https://arxiv.org/abs/2207.00188); no published number is claimed |

`mmvig.SimpleFeaturePyramid` (ViTDet) turns one map at stride 16 into maps at strides 4 to 64
([how to use it](own-config.md)).

All were trained as detectors on the mini set with equal settings: 5 epochs from random weights, one
thread of an AMD EPYC, by `python -m benchmarks.mini_set`. Multiply-adds are those of the backbone
for 160×224; CPU time per image is that of the whole detector.

| backbone | parameters | multiply-adds | CPU ms per image | training, CPU s | box AP | mask AP |
|---|---:|---:|---:|---:|---:|---:|
"""
PLOT = """
![box AP against multiply-adds](../benchmarks/results/mini_set_backbones.png)
"""
COLUMNS = """
| config | what | length | parameters | multiply-adds | at | result | weights |
|---|---|---:|---:|---:|---:|---|---|
"""


def read_models(task: str) -> list[dict]:
    return yaml.safe_load((ROOT / f'configs/{task}/metafile.yml').read_text())['Models']


def line(task: str, model: dict) -> str:
    """The table's line of one entry of a metafile."""
    meta = model['Metadata']
    unit, length = next((u, meta[u]) for u in ('Epochs', 'Iterations') if u in meta)
    results = [
        f'{metric} {value:g}'
        for result in model.get('Results', ())
        for metric, value in result['Metrics'].items()
    ]
    cells = [
        f'[`{model["Name"]}`](../configs/{task}/{model["Name"]}.py)',
        meta['Description'].removesuffix('.'),
        f'{length:,} {unit.lower()}',
        f'{meta["Parameters"] / 1e6:.1f} M',
        f'{meta["FLOPs"] / 1e9:.3g} G'
        if meta['FLOPs'] < 999.5e9
        else f'{meta["FLOPs"] / 1e9:.0f} G',
        meta['FLOPs Input'].replace('x', '×'),
        ', '.join(results) or '–',
        f'[official]({model["Weights"]})' if 'Weights' in model else '–',
    ]
    return f'| {" | ".join(cells)} |\n'


def backbone_line(row: dict[str, str]) -> str:
    """The table's line of one row of benchmarks/results/mini_set_backbones.csv."""
    cells = [
        row['backbone'],
        f'{int(row["backbone_parameters"]) / 1e6:.2f} M',
        f'{int(row["backbone_macs"]) / 1e9:.3f} G',
        f'{1000 * float(row["cpu_seconds_per_image"]):.1f}',
        f'{float(row["train_cpu_seconds"]):.0f}',
        f'{float(row["bbox_mAP"]):.3f}',
        f'{float(row["segm_mAP"]):.3f}',
    ]
    return f'| {" | ".join(cells)} |\n'


def page() -> str:
    """The whole page."""
    with (ROOT / 'benchmarks/results/mini_set_backbones.csv').open() as file:
        backbones = ''.join(map(backbone_line, csv.DictReader(file)))
    parts = [HEAD, BACKBONES, backbones, PLOT]
    for task, title in TITLES.items():
        lines = ''.join(line(task, model) for model in read_models(task))
        parts.append(f'\n## {title}\n{COLUMNS}{lines}')
    return ''.join(parts)


def main() -> None:
    (ROOT / 'docs/model-zoo.md').write_text(page())


if __name__ == '__main__':
    main()
