"""What the exporter needs of a model of any task."""

from typing import NamedTuple

from torch import Tensor, nn

from mmvig.deploy.manifest import Manifest


class Exportable(NamedTuple):
    """A whole model as one traceable module with its interface.

    Attributes:
        module: in eval mode; its forward takes tensors and gives a tuple of tensors, those of
            `Manifest`.
        inputs: names of its inputs, in order.
        outputs: names of its outputs, in order.
        examples: inputs to trace with, large enough that no size is a special case (one chunk of
            tokens, one pixel).
        dynamic_shapes: for `torch.export`, one dict per input from axis to Dim.
        manifest: all but `form`, which the exporter sets.
    """

    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    examples: tuple[Tensor, ...]
    dynamic_shapes: tuple[dict, ...]
    manifest: Manifest
