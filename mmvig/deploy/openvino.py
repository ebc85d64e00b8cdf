"""OpenVINO without its telemetry."""

import sys
from types import ModuleType

TELEMETRY = 'openvino_telemetry'


def import_openvino() -> ModuleType:
    """The package openvino, which sends nothing over the network.

    At its first import it would fork the process to tell a server of it: a prediction needs no
    network, and a fork beside running threads may hang or end the process. It does without where
    the package of its telemetry is missing, as it is made to seem here.

    Raises:
        ImportError: openvino is not installed.
    """
    if sys.modules.get('openvino') is None:
        before = sys.modules.get(TELEMETRY)
        sys.modules[TELEMETRY] = None
        try:
            import openvino  # noqa: F401 - into sys.modules
        finally:
            del sys.modules[TELEMETRY]
            if before is not None:
                sys.modules[TELEMETRY] = before
    return sys.modules['openvino']
