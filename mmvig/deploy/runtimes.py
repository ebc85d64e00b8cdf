"""What runs the graph of an exported file: onnxruntime or OpenVINO, on the CPU.

Each runtime is called with arrays by the names of the graph's inputs and gives arrays by the names
of its outputs. Both import their package only when a file is opened.
"""

import threading
from pathlib import Path
from typing import Protocol

import numpy as np

from .openvino import openvino_core


class Runtime(Protocol):
    """An opened file, which several threads may call at a time."""

    outputs: tuple[str, ...]

    def __call__(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]: ...


class OnnxRuntime:
    """A file in onnxruntime.

    Args:
        path: of the ONNX file.
        threads: that one operator may use; None for all cores.
    """

    def __init__(self, path: Path, threads: int | None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors, as all else about a file of ours is expected
        if threads is not None:
            options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=['CPUExecutionProvider']
        )
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def __call__(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self.outputs, self._session.run(None, inputs), strict=True))


class OpenVino:
    """A file in OpenVINO; arguments as of `OnnxRuntime`."""

    def __init__(self, path: Path, threads: int | None) -> None:
        core = openvino_core()
        # On CPUs with units for bfloat16 it would compute in that.
        options = {'INFERENCE_PRECISION_HINT': 'f32'}
        if threads is not None:
            options['INFERENCE_NUM_THREADS'] = threads
        self._lock = threading.Lock()  # at a second call meanwhile, a compiled model hangs
        self._model = core.compile_model(core.read_model(path), 'CPU', options)
        self.outputs = tuple(output.get_any_name() for output in self._model.outputs)

    def __call__(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with self._lock:
            found = self._model(inputs, share_outputs=False)
        return {name: found[i] for i, name in enumerate(self.outputs)}


RUNTIMES = {'onnxruntime': OnnxRuntime, 'openvino': OpenVino}


def open_file(path: Path, runtime: str, threads: int | None, form: str) -> Runtime:
    """Load a file into a runtime.

    Args:
        path, threads: see `OnnxRuntime`.
        runtime: 'onnxruntime' or 'openvino'.
        form: of linear attention in the file, for messages.

    Raises:
        ValueError: there is no such runtime, or it cannot run the file.
        ImportError: the runtime is not installed.
    """
    if runtime not in RUNTIMES:
        raise ValueError(f'expected runtime to be one of {", ".join(RUNTIMES)}, got {runtime!r}')
    if threads is not None and threads < 1:
        raise ValueError(f'expected threads to be 1 or more, got {threads}')
    try:
        return RUNTIMES[runtime](path, threads)
    except ImportError as error:
        if error.name != runtime:  # installed, but broken
            raise
        raise ImportError(
            f'expected the runtime {runtime}, it is not installed: pip install {runtime}',
            name=runtime,
        ) from error
    except Exception as error:  # each runtime has errors of its own
        remedy = '' if form == 'portable' else ': export it with --form portable'
        raise ValueError(
            f'{runtime} cannot run {path}, of the form {form}{remedy} ({_one_line(error)})'
        ) from error


def _one_line(error: Exception, most: int = 300) -> str:
    """The start of a runtime's message, some of which are pages long."""
    text = ' '.join(str(error).split())
    return text if len(text) <= most else f'{text[:most]}…'
