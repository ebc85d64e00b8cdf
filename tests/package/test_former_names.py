"""Modules that moved are found at their former place for one version, with a warning."""

import importlib
import sys

import pytest


@pytest.mark.parametrize(
    ('former', 'present', 'names'),
    [
        (
            'mmvig.backbones',
            'mmvig.models.backbones',
            ('LinGlo', 'MultiScaleViG', 'PlainViG', 'ViR'),
        ),
        ('mmvig.inference', 'mmvig.apis.inference', ('Predictor',)),
    ],
)
def test_a_former_module_warns_and_offers_the_same(former, present, names, monkeypatch):
    monkeypatch.delitem(sys.modules, former, raising=False)
    with pytest.warns(FutureWarning, match=f'{former} is now {present}'):
        module = importlib.import_module(former)
    for name in names:
        assert getattr(module, name) is getattr(importlib.import_module(present), name)
