"""Segmentation of, and detection in, images that are too large for memory, by rows.

`size` tells which those are, from the header of a file. `form` tells what the test pipeline loads,
`image` and `labels` read and write files by rasterio, `overview` keeps a reduced picture, and
`predict` puts them around `mmvig.streaming`, which does the arithmetic: with `segmentation` for
models of mmseg, and `detection` for those of mmdet.
"""
