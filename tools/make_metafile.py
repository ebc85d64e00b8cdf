"""Write configs/*/metafile.yml and model-index.yml: every config with its size, cost and results.

docs/model-zoo.md is written anew from them.

Parameters and multiply-adds are counted (`tools/get_flops.py`) for one image of 800×1280 (det),
512×512 or the crop (seg), 224×224 (cls) and 320×320 (real). Results are those of
benchmarks/results/mini_set_results.csv, which were measured here, and of the official release,
which are published.
"""

import csv
from pathlib import Path

import make_model_zoo
import yaml
from mmengine.config import Config

from mmvig.configs import TASKS, config_summary, list_configs
from mmvig.engine.flops import count_flops

ROOT = Path(__file__).resolve().parents[1]
CODE = 'https://github.com/hustvl/ViG'
PAPER = {
    'Title': 'ViG: Linear-complexity Visual Sequence Learning with Gated Linear Attention',
    'URL': 'https://arxiv.org/abs/2405.18425',
}
# Published with the official weights: top-1 accuracy on ImageNet-1k.
PUBLISHED = {
    'cls/vig_imagenet': ('vig_h_t_82p8acc.pth', 82.8),
    'cls/vig-s_imagenet': ('vig_h_s_83p8acc.pth', 83.8),
    'cls/vig-b_imagenet': ('vig_h_b_84p2acc.pth', 84.2),
    'cls/vig-plain_imagenet': ('vig_t_77p2acc.pth', 77.2),
    'cls/vig-plain-s_imagenet': ('vig_s_81p7acc.pth', 81.7),
    'cls/vig-plain-b_imagenet': ('vig_b_82p6acc.pth', 82.6),
}
SIZES = {'det': (800, 1280), 'seg': (512, 512), 'cls': (224, 224), 'real': (320, 320)}


def shape_of(task: str, cfg: Config) -> tuple[int, int]:
    if task == 'seg':
        return tuple(cfg.model.data_preprocessor.size)
    return (
        (64, 64) if 'Mini' in cfg.train_dataloader.dataset.type and task == 'cls' else SIZES[task]
    )


def entry(name: str, path: Path, results: list[dict]) -> dict:
    task, _, short = name.partition('/')
    cfg = Config.fromfile(path)
    shape = shape_of(task, cfg)
    counts = count_flops(cfg, shape)
    loop = cfg.train_cfg
    length = {'Iterations': loop.max_iters} if 'max_iters' in loop else {'Epochs': loop.max_epochs}
    model = {
        'Name': short,
        'In Collection': 'mmvig',
        'Config': f'configs/{name}.py',
        'Metadata': {
            'Description': config_summary(path),
            'Training Data': cfg.train_dataloader.dataset.type.split('.')[-1],
            **length,
            'Parameters': counts['parameters'],
            'FLOPs': counts['macs'],
            'FLOPs Input': f'{shape[0]}x{shape[1]}',
        },
    }
    rows = [row for row in results if row['config'] == name]
    if rows:
        model['Results'] = [
            {
                'Task': row['task'],
                'Dataset': row['data'],
                'Metrics': {row['metric']: float(row['value'])},
            }
            for row in rows
        ]
    elif name in PUBLISHED:
        file, top1 = PUBLISHED[name]
        model['Results'] = [
            {
                'Task': 'Image Classification',
                'Dataset': 'ImageNet-1k',
                'Metrics': {'Top 1 Accuracy (published)': top1},
            }
        ]
        model['Weights'] = f'https://huggingface.co/hustvl/ViG/resolve/main/{file}'
    return model


def write(path: Path, content: dict) -> None:
    text = yaml.safe_dump(content, sort_keys=False, width=100, allow_unicode=True)
    path.write_text(f'# Written by tools/make_metafile.py.\n{text}')


def main() -> None:
    with open(ROOT / 'benchmarks/results/mini_set_results.csv', newline='') as file:
        results = list(csv.DictReader(file))
    configs = list_configs()
    for task in TASKS:
        models = [
            entry(name, path, results)
            for name, path in configs.items()
            if name.startswith(f'{task}/')
        ]
        # One collection in all; mim reads the metafiles together.
        collection = {
            'Name': 'mmvig',
            'Metadata': {'Architecture': ['Gated Linear Attention']},
            'Paper': PAPER,
            'README': 'README.md',
            'Code': {'URL': CODE},
        }
        content = {'Collections': [collection]} if task == TASKS[0] else {}
        write(ROOT / f'configs/{task}/metafile.yml', content | {'Models': models})
    write(ROOT / 'model-index.yml', {'Import': [f'configs/{task}/metafile.yml' for task in TASKS]})
    make_model_zoo.main()


if __name__ == '__main__':
    main()
