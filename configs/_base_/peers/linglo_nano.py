# LinGlo nano as it is, 1.80 M parameters.
peer = dict(type='mmvig.LinGlo', arch='nano')
peer_channels = [32, 64, 128, 256]
