"""Root-mean-square normalisation."""

from torch import Tensor, nn

from mmvig.ops.rms_norm import rms_norm


class RMSNorm(nn.RMSNorm):
    """`torch.nn.RMSNorm` in at least float32 under any autocast, with less memory in training."""

    is_tokenwise = True

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__(width, eps)

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.eps)
