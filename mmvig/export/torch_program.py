"""Models as files of torch itself: a program of `torch.export`, or machine code by AOTInductor.

Both hold the weights and serve images of many sizes; neither needs the model's Python code or an MM
library where it runs. Both call the operator `bi_gla`, as torch knows it once `mmvig.kernels` is
imported, which `load_program` and `load_package` do. In a process that has not imported it, torch's
own functions fail: `torch.export.load` cannot "resolve torch.ops.mmvig…",
`torch.jit.load` meets an "Unknown builtin op: mmvig::…".

The backend is that of the machine that writes the file: its C++ backend on a CPU is built where the
file runs, too. `op_backend='chunked'` in the backbone makes files that need no compiler there.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

import mmvig.kernels  # noqa: F401 - registers the operator

# So large that no map has an axis of size 1, which torch takes for a constant.
EXAMPLE = (2, 3, 160, 224)


def export_program(
    module: nn.Module,
    examples: Sequence[Tensor] | None = None,
    dynamic_shapes: Sequence[dict] | None = None,
) -> ExportedProgram:
    """The graph of a module in eval mode, for any batch, height and width of its images.

    Images must be so large that every map has two rows and columns: from 33 pixels for a backbone
    of strides to 32, from 17 for a plain one. A program says so if they are smaller.

    Args:
        module: a backbone, or `Exportable.module` of a whole model (`make_exportable`).
        examples: its arguments; by default one image batch.
        dynamic_shapes: for each argument a dict from an axis to a `Dim`, as `torch.export` takes
            them; by default batch, height and width of the first.

    Raises:
        RuntimeError: torch cannot trace it.
    """
    examples = (torch.zeros(EXAMPLE),) if examples is None else tuple(examples)
    if dynamic_shapes is None:
        sizes = {axis: Dim.DYNAMIC for axis in (0, 2, 3)}
        dynamic_shapes = (sizes, *({} for _ in examples[1:]))
    with torch.no_grad(), _said_by_torch('trace this model'):
        return torch.export.export(
            module.eval(), examples, dynamic_shapes=tuple(dynamic_shapes), strict=False
        )


def save_program(program: ExportedProgram, path: str | os.PathLike) -> None:
    """Write a program of `export_program` to a .pt2 file."""
    with _said_by_torch(f'write {path}'):
        torch.export.save(program, path)


def load_program(path: str | os.PathLike) -> nn.Module:
    """What `save_program` wrote, as a module with the arguments and results of the original.

    Raises:
        FileNotFoundError: there is no such file.
        RuntimeError: torch cannot read it.
    """
    _check_file(path)
    with _said_by_torch(f'read {path} as a program'):
        return torch.export.load(path).module()


def compile_package(program: ExportedProgram, path: str | os.PathLike) -> None:
    """Compile a program to machine code for this processor, into a .pt2 file.

    A C++ compiler is needed here, and minutes for a large model.
    """
    with torch.no_grad(), _said_by_torch(f'compile {path}'):
        torch._inductor.aoti_compile_and_package(program, package_path=os.fspath(path))


def load_package(path: str | os.PathLike) -> Callable[..., tuple[Tensor, ...]]:
    """What `compile_package` wrote, as a function with the arguments of the original.

    Raises:
        FileNotFoundError: there is no such file.
        RuntimeError: torch cannot read it.
    """
    _check_file(path)
    with _said_by_torch(f'read {path} as a compiled package'):
        return torch._inductor.aoti_load_package(os.fspath(path))


def _check_file(path: str | os.PathLike) -> None:
    if not Path(path).is_file():
        raise FileNotFoundError(f'expected a .pt2 file, and there is no {path}')


@contextmanager
def _said_by_torch(task: str):
    """An error of torch in one line, with what was to be done."""
    try:
        yield
    except Exception as error:  # its errors have no common class
        said = ' '.join(str(error).split())[:300]
        raise RuntimeError(f'torch {torch.__version__} cannot {task}: {said}') from error
