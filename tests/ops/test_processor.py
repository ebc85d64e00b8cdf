"""What is read of /proc/cpuinfo, of several kinds of processors."""

import pytest

from mmvig.ops import processor

ZEN_5 = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 26
model\t\t: 17
flags\t\t: fpu avx2 avx512f avx512_bf16

processor\t: 1
vendor_id\t: AuthenticAMD
cpu family\t: 1
"""
SKYLAKE = 'vendor_id\t: GenuineIntel\ncpu family\t: 6\nflags\t: avx2 avx512f\n'
ARM = 'processor\t: 0\nFeatures\t: fp asimd bf16\nCPU implementer\t: 0x41\n'


@pytest.mark.parametrize(
    ('cpuinfo', 'family', 'bfloat16'),
    [(ZEN_5, 26, True), (SKYLAKE, 0, False), (ARM, 0, True), (None, 0, True)],
    ids=['Zen 5', 'Skylake', 'ARM', 'no such file'],
)
def test_kinds(cpuinfo, family, bfloat16, monkeypatch, tmp_path):
    path = tmp_path / 'cpuinfo'
    if cpuinfo is not None:
        path.write_text(cpuinfo)
    monkeypatch.setattr(processor, 'CPUINFO', path)
    monkeypatch.setattr(processor, 'describe', processor.describe.__wrapped__)
    assert processor.amd_family() == family
    assert processor.multiplies_bfloat16() == bfloat16
