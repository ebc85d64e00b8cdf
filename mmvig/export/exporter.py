"""Writes a model as one ONNX file that has been run beside torch."""

import dataclasses
import os
from pathlib import Path
from typing import NamedTuple

import onnx

import mmvig
from mmvig.checks.errors import UserError
from mmvig.deploy.manifest import KEY, Manifest

from .choice import choose
from .dynamic import for_any_size
from .exportable import Exportable
from .forms import FORMS, expand
from .half import with_float16_parts
from .trace import trace
from .verify import BUDGETS, verify

DTYPES = tuple(BUDGETS)
PARTIAL_SUFFIX = '.part'
IR_VERSION = 10  # what opset 18 to 27 need at most, and runtimes of 2024 read


class Report(NamedTuple):
    """What was written.

    Attributes:
        form: of linear attention in the graph, and the reason why.
        opset: of ai.onnx.
        nodes: their number, without those inside of others.
        error: the largest that the check found, relative to the largest value of its output; None
            without a check.
    """

    path: Path
    form: str
    reason: str
    opset: int
    nodes: int
    error: float | None


def export(
    model: Exportable,
    path: str | os.PathLike,
    form: str | None = None,
    dtype: str = 'float32',
    check: bool = True,
) -> Report:
    """Write a model as an ONNX file for images of any size.

    Args:
        model: see `make_exportable`.
        path: of the file, which is there only if it is right: it is written beside it and renamed.
        form: one of `FORMS`, or None for the fastest that the installed onnxruntime runs.
        dtype: 'float32', or 'float16' for the weights and products of backbone, neck and dense
            heads; inputs and outputs are float32 in either.
        check: run the file in onnxruntime at three sizes and compare with torch.

    Raises:
        UserError: form or dtype is unknown, the file cannot be written, or it differs from torch
            by more than `verify.BUDGETS`.
    """
    if form is not None and form not in FORMS:
        raise UserError(f'expected form to be one of {", ".join(FORMS)}, got {form!r}')
    if dtype not in DTYPES:
        raise UserError(f'expected dtype to be one of {", ".join(DTYPES)}, got {dtype!r}')
    module = for_any_size(model.module)
    if dtype == 'float16':
        module = with_float16_parts(module)
    traced = trace(model._replace(module=module))
    return write(traced, model, path, form, dtype, check)


def write(
    traced: onnx.ModelProto,
    model: Exportable,
    path: str | os.PathLike,
    form: str | None = None,
    dtype: str = 'float32',
    check: bool = True,
) -> Report:
    """As `export`, of a model that `trace` has traced; `model` is what the file must equal."""
    choice = choose(traced, form)
    proto = expand(traced, choice.form)
    _describe(proto, dataclasses.replace(model.manifest, form=choice.form))
    path = Path(path)
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(proto, partial)
        onnx.checker.check_model(str(partial), full_check=True)
        error = verify(partial, model, dtype, name=str(path)) if check else None
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    opset = FORMS[choice.form].opset
    return Report(path, choice.form, choice.reason, opset, len(proto.graph.node), error)


def _describe(proto: onnx.ModelProto, manifest: Manifest) -> None:
    proto.ir_version = IR_VERSION
    proto.producer_name, proto.producer_version = 'mmvig', mmvig.__version__
    proto.metadata_props.add(key=KEY, value=manifest.to_json())
