"""How large an image is, and whether a pipeline can be carried out by rows."""

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmvig.apis.huge_images.form import Form, read_form, without_resize
from mmvig.apis.huge_images.size import count_pixels, read_size
from mmvig.apis.huge_images.tiff import read_header
from mmvig.checks.errors import UserError

from .rasters import SIZE, noise, write_tiff

LOAD, PACK = {'type': 'LoadImageFromFile'}, {'type': 'PackSegInputs'}
RS = {'type': 'LoadSingleRSImageFromFile'}


@pytest.mark.parametrize('suffix', ['png', 'jpg', 'bmp', 'webp', 'gif', 'tif'])
def test_the_header_tells_the_size(suffix, tmp_path):
    path = tmp_path / f'a.{suffix}'
    Image.new('RGB', (7, 5)).save(path)
    assert read_size(path) == (5, 7)
    assert count_pixels(path) == 35


@pytest.mark.parametrize('bands', [noise(5), noise(3, np.uint16)])
@pytest.mark.parametrize('kind', [{'bigtiff': 'yes'}, {'endianness': 'big'}])
def test_pillow_need_not_know_the_pixels(bands, kind, tmp_path):
    path = write_tiff(tmp_path / 'a.tif', bands, **kind)
    assert read_size(path) == SIZE


def test_what_might_be_a_bomb_is_measured(tmp_path, monkeypatch, recwarn):
    """As Pillow calls images of more than 178 million pixels."""
    for name in ('a.png', 'a.jpg', 'a.bmp', 'a.tif'):
        Image.new('RGB', (7, 5)).save(tmp_path / name)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10)
    for path in tmp_path.iterdir():
        assert read_size(path) == (5, 7)
    assert not recwarn.list


@pytest.mark.parametrize('content', [b'', b'words', b'II*\0', b'\x89PNG'])
def test_what_is_no_image_has_no_size(content, tmp_path):
    (tmp_path / 'a').write_bytes(content)
    assert read_size(tmp_path / 'a') is None
    assert count_pixels(tmp_path / 'a') == 0


def test_a_header_counts_pieces(tmp_path):
    path = write_tiff(tmp_path / 'a.tif', noise(1), blockysize=10)
    header = read_header(path)
    assert header.missing_pieces == 0
    assert header.end <= path.stat().st_size
    sparse = write_tiff(tmp_path / 'b.tif', 0 * noise(1), blockysize=10, sparse_ok=True)
    assert read_header(sparse).missing_pieces == 9


def config(*pipeline: dict) -> Config:
    return Config({'test_dataloader': {'dataset': {'pipeline': list(pipeline)}}})


@pytest.mark.parametrize(
    ('loader', 'form'),
    [
        (LOAD, Form.COLOR),
        ({**LOAD, 'type': 'mmseg.LoadImageFromFile', 'to_float32': True}, Form.COLOR),
        ({**LOAD, 'color_type': 'grayscale'}, Form.GRAY),
        ({**LOAD, 'color_type': 'unchanged'}, Form.UNCHANGED),
        ({**LOAD, 'imdecode_backend': 'tifffile'}, Form.STORED),
        (RS, Form.STORED),
    ],
)
def test_loaders(loader, form):
    assert read_form(config(loader, {'type': 'LoadAnnotations'}, PACK)) == form


@pytest.mark.parametrize(
    'step', [{'scale_factor': 1.0}, {'scale_factor': (1, 1.0), 'keep_ratio': True}]
)
def test_a_resize_to_the_same_size(step):
    assert read_form(config(LOAD, {'type': 'Resize', **step}, PACK)) == Form.COLOR


@pytest.mark.parametrize(
    ('steps', 'message'),
    [
        ([LOAD, {'type': 'Resize', 'scale': (2048, 512)}, PACK],
         r'keeps the size of images, as strips do, got Resize\(scale=\(2048, 512\)\): --no-resize'),
        ([LOAD, {'type': 'Resize', 'scale_factor': 0.5}, PACK], r'got Resize\(scale_factor=0.5\)'),
        ([LOAD, {'type': 'RandomCrop'}, PACK], 'only loads and packs images, .* got RandomCrop'),
        ([{'type': 'LoadMultipleRSImageFromFile'}, PACK], 'got LoadMultipleRSImageFromFile'),
        ([{**LOAD, 'imdecode_backend': 'pillow'}, PACK], "got 'pillow' and 'color'"),
        ([{**LOAD, 'color_type': 'anydepth'}, PACK], "got 'cv2' and 'anydepth'"),
    ],
)  # fmt: skip
def test_pipelines_that_cannot_be_carried_out_by_rows(steps, message):
    with pytest.raises(UserError, match=message):
        read_form(config(*steps))


def test_resize_can_be_left_out():
    cfg = config(LOAD, {'type': 'mmseg.Resize', 'scale': (2048, 512)}, PACK)
    assert read_form(without_resize(cfg)) == Form.COLOR
