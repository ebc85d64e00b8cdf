"""The parameter names of the official ViG release and ours: one table, read both ways."""

import re
from collections.abc import Mapping

from torch import Tensor

from mmvig.messages import join_some

# Official name → ours; `{}` stands for an index. Modules carry `.weight` and `.bias` alike.
_MIXER = {
    'in_proj.0': 'local_conv',
    'qkv_proj': 'qkv',
    'gk_proj.0': 'gate_down',
    'gk_proj.1': 'gate_up',
    'g_proj': 'inject_gate',
    'g_norm': 'global_norm',
    'l_norm': 'local_norm',
    'o_proj': 'proj',
}
MULTI_SCALE = {
    'patch_embed.0': 'stem.0.conv',
    'patch_embed.2': 'stem.0.norm',
    'patch_embed.5': 'stem.2.conv',
    'patch_embed.7': 'stem.2.norm',
    'layers.{}.blocks.{}.norm': 'stages.{}.blocks.{}.norm1',
    **{
        f'layers.{{}}.blocks.{{}}.op.{official}': f'stages.{{}}.blocks.{{}}.mixer.{ours}'
        for official, ours in _MIXER.items()
    },
    'layers.{}.blocks.{}.norm2': 'stages.{}.blocks.{}.norm2',
    'layers.{}.blocks.{}.mlp.fc1': 'stages.{}.blocks.{}.mlp.fc1',
    'layers.{}.blocks.{}.mlp.fc2': 'stages.{}.blocks.{}.mlp.fc2',
    'layers.{}.downsample.1': 'stages.{}.downsample.conv',
    'layers.{}.downsample.3': 'stages.{}.downsample.norm',
    'outnorm{}': 'norm{}',
    'classifier.norm': 'head.norm',
    'classifier.head': 'head.fc',
}
PLAIN = {
    'pos_embed': 'pos_embed',
    'patch_embed.proj.0': 'stem.0.conv',
    'patch_embed.proj.1': 'stem.0.norm',
    'patch_embed.proj.3': 'stem.2.conv',
    'patch_embed.proj.4': 'stem.2.norm',
    'blocks.{}.attn_norm': 'blocks.{}.norm1',
    **{
        f'blocks.{{}}.attn.{official}': f'blocks.{{}}.mixer.{ours}'
        for official, ours in _MIXER.items()
    },
    'blocks.{}.mlp_norm': 'blocks.{}.norm2',
    'blocks.{}.mlp.gate_proj': 'blocks.{}.mlp.fc1',
    'blocks.{}.mlp.down_proj': 'blocks.{}.mlp.fc2',
    'norm': 'norm',
    'head': 'head.fc',
}


def from_official(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official key names, of a multi-scale or a plain model, to ours; the head under `head.`.

    Raises:
        ValueError: a key is not one of the official release's; the message names it.
    """
    return _rename(state_dict, _table(state_dict), 'an official ViG')


def to_official(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `from_official`."""
    table = {ours: official for official, ours in _table(state_dict).items()}
    return _rename(state_dict, table, 'an mmvig')


def is_official(state_dict: Mapping[str, Tensor]) -> bool:
    """Whether the keys are the official release's rather than ours."""
    return any(key.startswith(('patch_embed.', 'layers.')) for key in state_dict)


def _table(state_dict: Mapping[str, Tensor]) -> dict[str, str]:
    """The blocks of a plain model stand at the top, those of a multi-scale one inside stages."""
    return PLAIN if any(key.startswith('blocks.') for key in state_dict) else MULTI_SCALE


def _rename(state_dict, table: Mapping[str, str], whose: str) -> dict[str, Tensor]:
    patterns = [
        (re.compile(re.escape(old).replace(r'\{\}', r'(\d+)') + r'(\.weight|\.bias)?'), new)
        for old, new in table.items()
    ]
    renamed, unknown = {}, []
    for key, value in state_dict.items():
        for pattern, new in patterns:
            if match := pattern.fullmatch(key):
                renamed[f'{new}{{}}'.format(*match.groups(''))] = value
                break
        else:
            unknown.append(key)
    if unknown:
        raise ValueError(f'expected the keys of {whose} checkpoint, got also {join_some(unknown)}')
    return renamed
