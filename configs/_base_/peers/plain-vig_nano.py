# Plain ViG nano with two blocks more, 1.79 M parameters. Positions are those of crops of 320×320.
peer = dict(
    type='mmvig.PlainViG',
    arch=dict(channels=128, depth=8, heads=4, hidden=352, activation=True),
    pretrain_img_size=320,
)
peer_neck = dict(type='mmvig.SimpleFeaturePyramid', in_channels=[128], out_channels=64)
