"""The feed-forward layers, each on every token by itself."""

import torch.nn.functional as F
from torch import Tensor, nn

from mmvig.ops.linear import Linear
from mmvig.ops.swiglu import swiglu


class GatedMLP(nn.Module):
    """SwiGLU (arXiv 2002.05202): fc2(silu(a) ⊙ b) with [a, b] = fc1(x); no biases."""

    is_tokenwise = True

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(channels, 2 * hidden, bias=False)
        self.fc2 = Linear(hidden, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(swiglu(self.fc1(x)))


class MLP(nn.Module):
    """The feed-forward of a vision transformer: fc2(gelu(fc1(x)))."""

    is_tokenwise = True

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(channels, hidden)
        self.fc2 = Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))
