"""Segmentation of images that are too large for memory: read, predicted and written by rows.

`size` tells which those are, from the header of a file. `form` tells what the test pipeline loads,
`image` and `labels` read and write files by rasterio, `overview` keeps a reduced picture, and
`predict` puts them around `mmvig.streaming`, which does the arithmetic.
"""
