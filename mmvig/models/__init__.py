"""The models: images to backbones to blocks to mixers to `mmvig.kernels`."""
