"""`test --tta` of configs without its sections does as one that writes them out."""

import pytest
from mmengine.config import Config

from mmvig.checks import UserError
from mmvig.cli.tta import apply_tta

FLIPS = [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)]
SEG = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='TestTimeAug', transforms=[FLIPS, [dict(type='PackSegInputs')]]),
]


def metrics(out: str) -> str:
    return next(line for line in out.splitlines()[::-1] if 'mIoU' in line).partition('aAcc')[2]


@pytest.mark.slow
def test_the_default_is_a_flip(input_folder, cli):
    cfg = Config.fromfile('seg.py')
    cfg.test_dataloader.dataset.pipeline = [*SEG[:2], dict(type='PackSegInputs')]
    for name in ('tta_model', 'tta_pipeline'):
        cfg.pop(name, None)
    cfg.dump('bare.py')
    cfg.merge_from_dict({'tta_model': dict(type='SegTTAModel'), 'tta_pipeline': SEG})
    cfg.dump('written.py')
    results = [
        cli.output('test', f'{name}.py', 'seg.pth', *tta)
        for name, tta in (('bare', ['--tta']), ('written', ['--tta']), ('bare', []))
    ]
    bare, written, plain = (metrics(out).split('data_time')[0] for out in results)
    assert bare == written != plain
    assert '--tta: the config has no tta_pipeline' in results[0]
    assert '--tta:' not in results[1]


@pytest.mark.parametrize('name', ['det', 'cls'])
def test_views_are_packed_as_the_test_pipeline_does(name, models):
    cfg = Config.fromfile(models[name][0])
    if name == 'cls':
        cfg.test_dataloader = cfg.val_dataloader
    last = cfg.test_dataloader.dataset.pipeline[-1]
    inner = cfg.model
    apply_tta(cfg)
    augmentation = cfg.test_dataloader.dataset.pipeline[-1]
    flips, (packed,) = augmentation.transforms
    assert [flip.prob for flip in flips] == [0, 1]
    assert packed.type == last.type
    if name == 'det':
        assert set(packed.meta_keys) == {*last.meta_keys, 'flip', 'flip_direction'}
    assert cfg.model.module == inner


def test_a_pipeline_that_packs_in_its_own_way_needs_one_written(models):
    cfg = Config.fromfile(models['det'][0])
    cfg.test_dataloader.dataset.pipeline.append(dict(type='Mine'))
    with pytest.raises(UserError, match='--tta needs tta_pipeline'):
        apply_tta(cfg)
