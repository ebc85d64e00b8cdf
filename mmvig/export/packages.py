"""What exporting needs beyond torch, which the package itself does without."""

from importlib.util import find_spec

import torch

from mmvig.checks.errors import UserError

PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')
TORCH = (2, 9)  # the first version whose exporter through `torch.export` is the usual one


def require_packages() -> None:
    """Everything that an export needs is installed, in a version that it works with.

    Raises:
        UserError: something is not; says what to install.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UserError(
            f'an export needs {", ".join(PACKAGES)}; {", ".join(missing)} '
            f'{"is" if len(missing) == 1 else "are"} not installed: pip install '
            f'{" ".join(missing)}, or mmvig with its extra: pip install -e ".[onnx]"'
        )
    found = tuple(int(number) for number in torch.__version__.split('.')[:2])
    if found < TORCH:
        raise UserError(
            f'an export needs torch {TORCH[0]}.{TORCH[1]} or later, got {torch.__version__}: '
            'install a later torch, or export in an environment of its own (make env)'
        )
