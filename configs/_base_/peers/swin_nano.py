# Swin in the proportions of Swin-T, 1.74 M parameters.
peer = dict(
    type='SwinTransformer',
    embed_dims=24,
    depths=(2, 2, 6, 2),
    num_heads=(1, 2, 4, 8),
    drop_path_rate=0.0,
)
peer_channels = [24, 48, 96, 192]
