import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

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
# What runs an exported model; OpenVINO is a second runtime beside onnxruntime.
DEPLOY = ['onnxruntime>=1.23', 'opencv-python-headless', 'pillow']
EXPORT = ['onnx>=1.22', 'onnxscript>=0.5', 'onnxruntime>=1.23']
HUGE = ['rasterio>=1.4']
OPENVINO = ['openvino>=2025.4']
TEST = [
    'gradio',
    'hypothesis',
    'pytest',
    'pytest-timeout',
    'pytest-xdist',
    'ruff',
    'selenium',
    'tensorboard',
]
ROOT = Path(__file__).resolve().parent
# What an installed package needs of `configs/` and `tools/`; the other tools work on a checkout.
MIM_FILES = (
    'model-index.yml',
    'configs/**/*.py',
    'configs/**/*.yml',
    *(f'tools/{name}.py' for name in ('train', 'test', 'convert_checkpoint', 'get_flops')),
    'tools/dist_*.sh',
    'tools/slurm_train.sh',
)


class BuildWithConfigs(build_py):
    """Copies configs and tools to mmvig/.mim, where the MM libraries look in an installed package.

    Only into what is built: in a checkout, mim would find every config twice.
    """

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        inside = Path(self.build_lib, 'mmvig/.mim')
        shutil.rmtree(inside, ignore_errors=True)
        for path in (path for pattern in MIM_FILES for path in ROOT.glob(pattern)):
            target = inside / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


setup(
    license='Apache-2.0',  # as a field of pyproject.toml, no form suits all versions of setuptools
    packages=find_packages(include=['mmvig', 'mmvig.*']),
    cmdclass={'build_py': BuildWithConfigs},
    # Both families install the same import names, so neither may be a hard dependency.
    extras_require={
        'onedl': ONEDL,
        'openmmlab': OPENMMLAB,
        'deploy': DEPLOY,
        'onnx': EXPORT,
        'openvino': OPENVINO,
        'huge': HUGE,
        'page': ['gradio'],
        'tensorboard': ['tensorboard'],
        'test': TEST,
    },
)
