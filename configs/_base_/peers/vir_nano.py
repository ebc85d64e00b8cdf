# Bidirectional ViR nano with two blocks more, 1.74 M parameters. Positions are those of crops of
# 320×320.
peer = dict(
    type='mmvig.ViR',
    arch=dict(channels=128, depth=8, heads=4),
    mode='bidirectional',
    layer_scale_init_value=1.0,
    pretrain_img_size=320,
)
peer_neck = dict(type='mmvig.SimpleFeaturePyramid', in_channels=[128], out_channels=64)
