# ConvNeXt with the depths of ConvNeXt-A, 1.68 M parameters. Factors of residuals start at 1: from
# 1e-6, which 300 epochs of ImageNet are long enough for, a short training would not get far.
peer = dict(
    type='mmpretrain.ConvNeXt',
    arch=dict(depths=(2, 2, 6, 2), channels=(28, 56, 112, 224)),
    layer_scale_init_value=1.0,
    gap_before_final_norm=False,
)
peer_channels = [28, 56, 112, 224]
