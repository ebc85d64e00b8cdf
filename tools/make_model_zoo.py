"""Write docs/model-zoo.md, the table of all configs, from configs/*/metafile.yml."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
TITLES = {'det': 'Detection', 'seg': 'Segmentation', 'cls': 'Classification'}
HEAD = """# Model zoo

*Written by `tools/make_model_zoo.py` from the metafiles, which `tools/make_metafile.py` writes.*

Every config has a name, by which all commands know it, a header that says its command and cost, and
a line here. Parameters are those of the whole model. Multiply-adds are counted for one image of the
given size, the recurrence included. A result is measured here (`benchmarks/results/mini_set_results.csv`) unless
it says that it is published; a dash means not yet measured. No detection or segmentation result of
ViG has been published.
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


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for task, title in TITLES.items():
        lines = ''.join(line(task, model) for model in read_models(task))
        parts.append(f'\n## {title}\n{COLUMNS}{lines}')
    return ''.join(parts)


def main() -> None:
    (ROOT / 'docs/model-zoo.md').write_text(page())


if __name__ == '__main__':
    main()
