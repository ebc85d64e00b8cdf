"""What all backbones share: arch lookup, freezing, initialisation, recomputation."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmvig.checkpoint import load_pretrained
from mmvig.models.base_module import BaseModule


class Backbone(BaseModule):
    """A backbone in parts: the stem is part 0, the stages (or blocks) count from 1.

    A subclass has `ARCHS` with an entry 'tiny', builds its modules after `super().__init__`, and
    says by `freezable_parts` which of them belong to which part.

    Attributes:
        out_channels (tuple[int]): Width of each returned map.
        out_strides (tuple[int]): Stride of each returned map.
    """

    ARCHS: dict[str, dict]
    out_channels: tuple[int, ...]
    out_strides: tuple[int, ...]

    def __init__(
        self,
        num_stages: int,
        in_channels: int,
        out_indices: Sequence[int],
        frozen_stages: int,
        with_cp: bool,
        init_cfg: dict | None,
    ) -> None:
        super().__init__(init_cfg)
        if (
            not isinstance(out_indices, Sequence)
            or not out_indices
            or any(i not in range(num_stages) for i in out_indices)
        ):
            raise ValueError(
                f'expected out_indices within 0 … {num_stages - 1}, got {out_indices!r}'
            )
        if frozen_stages not in range(-1, num_stages + 1):
            raise ValueError(
                f'expected frozen_stages within -1 … {num_stages}, got {frozen_stages!r}'
            )
        if not isinstance(in_channels, int) or in_channels < 1:
            raise ValueError(f'expected in_channels to be 1 or more, got {in_channels!r}')
        self.in_channels = in_channels
        self.out_indices = tuple(sorted(out_indices))
        self.frozen_stages = frozen_stages
        self.with_cp = with_cp

    @classmethod
    def resolve_arch(cls, arch: str | dict) -> dict:
        """The sizes of an arch given by name or as a dict with the keys of the named ones."""
        if isinstance(arch, str):
            if arch not in cls.ARCHS:
                raise ValueError(
                    f'expected arch to be one of {", ".join(cls.ARCHS)} or a dict, got {arch!r}'
                )
            return cls.ARCHS[arch]
        keys = set(cls.ARCHS['tiny'])
        if not isinstance(arch, dict) or set(arch) != keys:
            got = sorted(arch) if isinstance(arch, dict) else arch
            raise ValueError(f'expected an arch dict with {sorted(keys)}, got {got}')
        for name, sizes in arch.items():
            listed = sizes if isinstance(sizes, list | tuple) else [sizes]
            if not all(isinstance(n, bool) or (isinstance(n, int) and n > 0) for n in listed):
                raise ValueError(
                    f'expected {name} of arch to be whole numbers, 1 or more, got {sizes!r}'
                )
        return arch

    def freezable_parts(self) -> Iterator[list[nn.Module | nn.Parameter]]:
        """Modules and parameters of the stem, then of each stage with its output norm."""
        raise NotImplementedError

    def init_weights(self) -> None:
        """Initialise at random as the authors' code does, then load `init_cfg`'s checkpoint."""
        self.init_from_scratch()
        if self.init_cfg:
            options = dict(self.init_cfg)
            if options.pop('type', None) != 'Pretrained' or set(options) - {'checkpoint', 'prefix'}:
                raise ValueError(
                    "expected init_cfg=dict(type='Pretrained', checkpoint=…[, prefix=…]) or None, "
                    f'got {self.init_cfg}'
                )
            load_pretrained(self, options['checkpoint'], options.get('prefix', ''))
        self._is_init = True

    def init_from_scratch(self) -> None:
        """Linear layers get normal weights and zero biases; others keep torch's values."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def check_image(self, image_BCYX: Tensor) -> None:
        if image_BCYX.dim() != 4 or image_BCYX.shape[1] != self.in_channels:
            raise ValueError(
                f'expected images of shape [B, {self.in_channels}, height, width], got '
                f'{list(image_BCYX.shape)}'
            )

    def train(self, mode: bool = True) -> 'Backbone':
        """Set the mode; frozen stages stay in eval mode."""
        super().train(mode)
        self.freeze()
        return self

    def unused_modules(self) -> list[nn.Module | nn.Parameter]:
        """Modules and parameters after the last map that is returned."""
        parts = list(self.freezable_parts())[self.out_indices[-1] + 2 :]
        return [module for part in parts for module in part]

    def freeze(self) -> None:
        """No gradients and eval mode for the first `frozen_stages + 1` parts.

        Unused modules are frozen too: DDP waits for the gradient of every trainable parameter.
        """
        for module in self.unused_modules():
            module.requires_grad_(False)
        for _, part in zip(range(self.frozen_stages + 1), self.freezable_parts(), strict=False):
            for module in part:
                module.requires_grad_(False)
                if isinstance(module, nn.Module):
                    module.eval()


def maybe_checkpoint(block: nn.Module, x: Tensor, with_cp: bool) -> Tensor:
    """`block(x)`, recomputed in the backward pass if `with_cp` is set."""
    if with_cp and x.requires_grad:
        return checkpoint(block, x, use_reentrant=False)
    return block(x)


def drop_path_rates(last: float, count: int) -> list[float]:
    """Stochastic depth of `count` blocks, growing linearly from 0 to `last`."""
    if not isinstance(last, int | float) or not 0 <= last < 1:
        raise ValueError(f'expected drop_path_rate from 0 to below 1, got {last!r}')
    return [last * i / max(count - 1, 1) for i in range(count)]
