from setuptools import find_packages, setup

ONEDL = [
    'onedl-mmengine>=0.10.12',
    'onedl-mmcv>=2.3.6',
    'onedl-mmdetection>=3.5.1',
    'onedl-mmsegmentation>=1.4.2',
    'onedl-mmpretrain>=1.3.6',
    'torchvision',
]
OPENMMLAB = [
    'mmengine>=0.10.7',
    'mmcv>=2.1.0,<2.2.0',  # mmdet and mmsegmentation refuse 2.2 at import
    'mmdet>=3.3.0',
    'mmsegmentation>=1.2.2',
    'mmpretrain>=1.2.0',
    'ftfy',
    'regex',
    'torchvision',
]

setup(
    packages=find_packages(include=['mmvig', 'mmvig.*']),
    # Both families install the same import names, so neither may be a hard dependency.
    extras_require={'onedl': ONEDL, 'openmmlab': OPENMMLAB, 'test': ['pytest', 'ruff']},
)
