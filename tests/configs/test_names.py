"""Configs by name, their list, and the metafiles that mim reads."""

import functools
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config

import mmvig
from mmvig.configs import config_summary, list_configs
from mmvig.engine.build import build_model


@functools.cache
def metafile_entries(root: Path) -> dict[str, dict]:
    index = yaml.safe_load((root / 'model-index.yml').read_text())
    return {
        f'{path.split("/")[1]}/{model["Name"]}': model
        for path in index['Import']
        for model in yaml.safe_load((root / path).read_text())['Models']
    }


def test_configs_are_found_by_name(root):
    expected = str(root / 'configs/det/vig_maskrcnn.py')
    for name in ('vig_maskrcnn', 'det/vig_maskrcnn', 'vig_maskrcnn.py'):
        assert mmvig.get_config(name) == expected


def test_short_names_are_unique():
    names = [name.partition('/')[2] for name in list_configs()]
    assert len(set(names)) == len(names)


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match="no config 'vig_maskrcn'; did you mean .*vig_maskrcnn"):
        mmvig.get_config('vig_maskrcn')
    with pytest.raises(ValueError, match='see python -m mmvig list'):
        mmvig.get_config('resnet')


def test_importing_the_package_loads_nothing_heavy(tmp_path):
    code = 'import sys, mmvig; print(sorted({"torch", "mmengine", "triton"} & set(sys.modules)))'
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == '[]'


def test_list_command(cli):
    *lines, last = cli.output('list', 'upernet').splitlines()
    configs = {name: path for name, path in list_configs().items() if 'upernet' in name}
    expected = {(name, config_summary(path)) for name, path in configs.items()}
    assert {tuple(line.split(maxsplit=1)) for line in lines} == expected
    assert last.startswith(f'{len(configs)} configs in ')


def test_every_config_has_its_metafile_entry(root):
    entries = metafile_entries(root)
    assert entries.keys() == list_configs().keys(), 'run tools/make_metafile.py'
    for name, entry in entries.items():
        assert entry['Config'] == f'configs/{name}.py'
        assert entry['Metadata']['Description'] == config_summary(list_configs()[name])
        assert entry['Metadata']['FLOPs'] > 1e6


@pytest.mark.parametrize('name', list_configs())
def test_metafile_parameters(name, root):
    with torch.device('meta'):
        model = build_model(Config.fromfile(list_configs()[name]))
    count = sum(p.numel() for p in model.parameters())
    assert metafile_entries(root)[name]['Metadata']['Parameters'] == count
