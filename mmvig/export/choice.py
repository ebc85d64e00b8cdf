"""Which form of linear attention to write, if the user names none."""

from functools import cache
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper

from .forms import calls, expand
from .trace import DOMAIN, NAME, OPSET

# In onnxruntime 1.32.0, for 16,800 tokens in 3 heads of 16 and 32 channels, both directions, one
# thread: 24, 65 and 260 ms of processor time; `bi_gla` in torch takes 28 ms.
FASTEST_FIRST = ('contrib', 'portable', 'standard')


class Choice(NamedTuple):
    """A form, and why it was taken."""

    form: str
    reason: str


def choose(traced: onnx.ModelProto, form: str | None) -> Choice:
    """The form asked for, or the fastest that the installed onnxruntime runs."""
    import onnxruntime

    if form is not None:
        return Choice(form, 'as asked for')
    if not calls(traced):
        return Choice('portable', 'as the model has no linear attention')
    chosen = next(form for form in FASTEST_FIRST if runs(form))
    return Choice(chosen, f'the fastest that onnxruntime {onnxruntime.__version__} runs')


@cache
def runs(form: str) -> bool:
    """Whether the installed onnxruntime runs one call of `bi_gla` in a form."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            expand(single_call(), form).SerializeToString(),
            options,
            providers=['CPUExecutionProvider'],
        )
        x = np.zeros((1, 3, 1, 2), np.float32)
        session.run(None, {name: x for name in ('q', 'k', 'v', 'g_fwd', 'g_bwd')})
    except Exception:  # its errors have no common class
        return False
    return True


def single_call(
    heads: int = 1,
    key_width: int = 2,
    value_width: int = 2,
    scale: float = 1.0,
    normalizer: float | None = None,
    directions: str = 'both',
) -> onnx.ModelProto:
    """A graph as of `trace` with one call, from the inputs q, k, v, g_fwd and g_bwd to o.

    `directions` is 'both', 'fwd' or 'bwd'; of these inputs only those needed are there.
    """
    widths = {name: key_width for name in ('q', 'k', 'v', 'g_fwd', 'g_bwd')} | {'v': value_width}
    absent = {'both': None, 'fwd': 'g_bwd', 'bwd': 'g_fwd'}[directions]
    node = helper.make_node(
        NAME,
        [name if name != absent else '' for name in widths],
        ['o'],
        domain=DOMAIN,
        heads=heads,
        key_width=key_width,
        value_width=value_width,
        scale=scale,
        normalizer=float(normalizer or 0),
    )
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ['B', 'T', heads, width])
        for name, width in widths.items()
        if name != absent
    ]
    output = helper.make_tensor_value_info('o', TensorProto.FLOAT, ['B', 'T', heads, value_width])
    graph = helper.make_graph([node], 'single_call', inputs, [output])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', OPSET), helper.make_opsetid(DOMAIN, 1)]
    )
