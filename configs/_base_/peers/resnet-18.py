# ResNet-18 as it is, 11.18 M parameters, from random weights: its norms are trained.
peer = dict(type='ResNet', depth=18, frozen_stages=-1, norm_eval=False, init_cfg=None)
peer_channels = [64, 128, 256, 512]
