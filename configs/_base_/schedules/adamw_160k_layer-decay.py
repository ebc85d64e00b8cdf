# 160,000 iterations with learning rates that shrink towards the stem, as plain backbones are
# fine-tuned (Vision-RWKV's rates for its tiny model).
_base_ = './adamw_160k.py'

optim_wrapper = dict(
    optimizer=dict(lr=1.2e-4),
    constructor='mmvig.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.95,
        custom_keys=dict(pos_embed=dict(decay_mult=0.0), cls_token=dict(decay_mult=0.0)),
    ),
)
