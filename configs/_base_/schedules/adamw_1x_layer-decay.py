# 12 epochs with learning rates that shrink towards the stem, as plain backbones are fine-tuned.
_base_ = './adamw_1x.py'

optim_wrapper = dict(
    constructor='mmvig.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.85,
        custom_keys=dict(pos_embed=dict(decay_mult=0.0), cls_token=dict(decay_mult=0.0)),
    ),
)
