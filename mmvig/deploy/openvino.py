"""OpenVINO without its telemetry, and with one core in a process."""

import functools
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


def openvino_core():
    """The `openvino.Core` of this process.

    A core that compiles gives its thread another stack for handlers of signals, and at its end puts
    back the one that it found. Where two cores end in the order in which they began, the second one
    puts back what went with the first, and the next signal ends the process without a word. So
    there is only one, which stays.

    Raises:
        ImportError: openvino is not installed.
    """
    return _make_core(import_openvino())


@functools.cache
def _make_core(openvino: ModuleType):
    return openvino.Core()
