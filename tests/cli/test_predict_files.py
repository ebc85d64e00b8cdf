"""`mmvig predict` on images of every kind and name, and on broken ones among them."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from mmvig.apis.images import load
from mmvig.apis.inference import Predictor
from mmvig.apis.names import name_results, picture_name
from mmvig.apis.tasks import Detection, Segmentation
from mmvig.engine.build import build_model

SIZE = (40, 30)  # width and height


def draw(seed: int = 0) -> np.ndarray:
    """Soft colours, RGB."""
    colours = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    return cv2.resize(colours, SIZE)


@pytest.mark.parametrize(
    ('paths', 'names'),
    [
        (['a.jpg', 'b.png'], ['a', 'b']),
        (['one/a.jpg', 'two/b.jpg'], ['a', 'b']),
        (['a.jpg', 'a.png', 'b.jpg'], ['a.jpg', 'a.png', 'b']),
        (['one/a.jpg', 'two/a.png'], ['a.jpg', 'a.png']),
        (['one/a.jpg', 'two/a.jpg', 'two/b.jpg'], ['one/a.jpg', 'two/a.jpg', 'b']),
        (['A.jpg', 'a.JPG'], ['A.jpg', 'a.JPG']),
        (['a.jpg', 'a.png', 'a.jpg.png'], ['a.jpg', 'a.png', 'a.jpg.png']),
        (['a.jpg', 'one/a.jpg', 'a.jpg.bmp'], ['a.jpg', 'one/a.jpg', 'a.jpg.bmp']),
        (['photo.2026.jpg', 'photo.2025.jpg'], ['photo.2026', 'photo.2025']),
    ],
)
def test_each_image_gets_a_name_of_its_own(paths, names):
    paths = list(map(Path, paths))
    assert list(name_results(paths).values()) == names
    pictures = {picture_name(path, name) for path, name in zip(paths, names, strict=True)}
    assert len(pictures) == len(paths)


@pytest.fixture(scope='module')
def kinds(tmp_path_factory) -> dict[str, Path]:
    """One picture in files of many kinds, and some of extreme sizes."""
    folder = tmp_path_factory.mktemp('kinds')
    picture = Image.fromarray(draw())
    second = Image.fromarray(draw(1))
    turned = Image.Exif()
    turned[0x0112] = 6
    several = {'save_all': True, 'append_images': [second]}
    saved = {
        'gray.png': (picture.convert('L'), {}),
        'alpha.png': (picture.convert('RGBA'), {}),
        'palette.png': (picture.convert('P'), {}),
        'cmyk.jpg': (picture.convert('CMYK'), {'quality': 100}),
        'exif.png': (picture, {'exif': turned}),
        'żółć 图.bmp': (picture, {}),
        'still.gif': (picture, {}),
        'moving.gif': (picture, several),
        'moving.webp': (picture, {**several, 'lossless': True}),
        'pages.tif': (picture, several),
        'one.png': (picture.resize((1, 1)), {}),
        'wide.png': (picture.resize((5000, 1)), {}),
        'tall.png': (picture.resize((1, 5000)), {}),
    }
    for name, (image, options) in saved.items():
        image.save(folder / name, **options)
    for name in ('deep.png', 'deep.tiff'):
        cv2.imwrite(str(folder / name), draw()[..., ::-1].astype(np.uint16) * 257)
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize('task', ['det', 'seg', 'cls'])
def test_files_of_every_kind(task, kinds, models, cli, tmp_path):
    """Above a score of 1 no box is drawn: then pictures show what the model was given."""
    out = tmp_path / 'out'
    options = ('--out', out, '--batch-size', 5, '--score-thr', 1.1)
    result = cli.run('predict', *models[task], *kinds.values(), *options)
    assert result.status == 0, result.err[-3000:]
    said = result.out + result.err
    assert 'only the first picture was predicted of' in said
    for name in ('moving.gif', 'moving.webp', 'pages.tif'):
        assert f'{name} (of 2)' in said
    assert 'still.gif' not in said
    assert len(list((out / 'vis').iterdir())) == len(kinds)
    names = name_results(list(kinds.values())).values()
    if task == 'cls':
        assert set(json.loads((out / 'preds.json').read_text())) == set(kinds)
    else:
        folder, suffix = {'det': ('preds', '.json'), 'seg': ('pred', '.png')}[task]
        written = {path.name for path in (out / folder).iterdir()}
        assert written == {f'{name}{suffix}' for name in names}
    assert cv2.imread(str(out / 'sheet.png')).shape[1] == 3 * 512
    if task == 'seg':
        sizes = {'tall': (5000, 1), 'exif': (40, 30), 'moving.gif': (30, 40), 'one': (1, 1)}
        for name, size in sizes.items():
            assert cv2.imread(str(out / f'pred/{name}.png'), -1).shape == size, name
    if task == 'det':
        _assert_pictures_show(out / 'vis')


def _assert_pictures_show(vis: Path) -> None:
    exact = ('deep.png.png', 'deep.tiff.png', 'moving.webp.png', 'pages.tif', 'alpha.png')
    few_colours = ('moving.gif.png', 'still.png')  # GIF has 256
    for name in exact + few_colours:
        shown = cv2.imread(str(vis / name))[..., ::-1].astype(int)
        error = np.abs(shown - draw()).max()
        assert error <= (40 if name in few_colours else 0), f'{name}: {error}'
    exif = cv2.imread(str(vis / 'exif.png'))[..., ::-1]
    np.testing.assert_array_equal(exif, np.rot90(draw(), -1))


def test_an_image_named_twice_is_predicted_once(valid_inputs, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(valid_inputs)
    image = Path('data/images/1.jpg')
    files = (image, 'data/images', valid_inputs / image)
    cli.output('predict', 'seg.py', 'seg.pth', *files, '--out', tmp_path)
    assert len(list((tmp_path / 'pred').iterdir())) == 4


def test_images_of_one_name(valid_inputs, cli, tmp_path, monkeypatch):
    """Of another suffix or folder: all results are there, and each is that of its own image."""
    monkeypatch.chdir(valid_inputs)
    for i, name in enumerate(('a.jpg', 'a.png', 'one/b.png', 'two/b.png')):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        # Each of its own size, which tells the results apart.
        cv2.imwrite(str(tmp_path / name), cv2.resize(draw(i), (40 + i, 30)))
    files = (tmp_path, tmp_path / 'one', tmp_path / 'two')
    out = tmp_path / 'out'
    cli.output('predict', 'seg.py', 'seg.pth', *files, '--out', out)
    found = {
        path.relative_to(out / 'pred').as_posix(): cv2.imread(str(path), -1).shape[1]
        for path in (out / 'pred').rglob('*.png')
    }
    assert found == {'a.jpg.png': 40, 'a.png.png': 41, 'one/b.png.png': 42, 'two/b.png.png': 43}
    assert (out / 'vis/one/b.png.png').is_file()


@pytest.mark.parametrize('task', ['det', 'seg'])
def test_broken_images_among_good_ones(task, valid_inputs, cli, tmp_path, monkeypatch):
    """The good ones are predicted, and the command ends with a line that names the others."""
    monkeypatch.chdir(valid_inputs)
    folder = tmp_path / 'images'
    folder.mkdir()
    for i in range(4):
        cv2.imwrite(str(folder / f'{i}.png'), draw(i))
    (folder / '0.png').write_bytes((folder / '0.png').read_bytes()[:-50])
    (folder / '2.jpg').write_text('words')
    Image.fromarray(draw()).save(folder / '4.gif')
    (folder / '4.gif').write_bytes((folder / '4.gif').read_bytes()[:-300])
    out = tmp_path / 'out'
    options = ('--out', out, '--batch-size', 2)
    message = cli.user_error('predict', f'{task}.py', f'{task}.pth', folder, *options)
    pattern = (
        r'expected a whole image, \S*images/0.png cannot be read as one: .*; '
        r'nor can \S*2.jpg, \S*4.gif be read; the others are predicted \(3\)'
    )
    assert re.fullmatch(pattern, message), message
    assert {path.name for path in (out / 'vis').iterdir()} == {'1.png', '2.png.png', '3.png'}
    assert (out / 'sheet.png').is_file()


def test_an_image_that_the_pipeline_cannot_prepare(valid_inputs, cli, tmp_path, monkeypatch):
    """Resized to 40 pixels, an image of 5000×1 has no row left."""
    monkeypatch.chdir(valid_inputs)
    config = tmp_path / 'small.py'
    config.write_text(
        f"_base_ = '{valid_inputs}/seg.py'\n"
        'test_dataloader = dict(dataset=dict(pipeline=[\n'
        "    dict(type='LoadImageFromFile'),\n"
        "    dict(type='Resize', scale=(40, 40), keep_ratio=True),\n"
        "    dict(type='PackSegInputs')]))\n"
    )
    cv2.imwrite(str(tmp_path / 'a.png'), draw())
    cv2.imwrite(str(tmp_path / 'b.png'), cv2.resize(draw(), (5000, 1)))
    files = (tmp_path / 'a.png', tmp_path / 'b.png')
    options = ('--out', tmp_path / 'out', '--batch-size', 2)
    message = cli.user_error('predict', config, 'seg.pth', *files, *options)
    assert re.match(
        r'expected an image that the test pipeline can prepare, \S*b.png with 5000×1 pixels fails '
        r'in it: error: OpenCV.*; the others are predicted \(1\)$',
        message,
    ), message
    assert (tmp_path / 'out/pred/a.png').is_file()


def test_a_batch_that_is_too_large_for_the_gpu(models, valid_inputs, cli, tmp_path, monkeypatch):
    def fail(self, *batch):
        raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 20.00 GiB')

    monkeypatch.setattr(Segmentation, 'predict', fail)
    options = ('--out', tmp_path, '--batch-size', 4)
    message = cli.user_error('predict', *models['seg'], valid_inputs / 'data/images', *options)
    assert 'to hold 4 images at once, it does not: lower --batch-size' in message


def test_results_of_finished_images_stay(valid_inputs, cli, tmp_path, monkeypatch):
    """Whatever ends the command, what was written before is whole."""
    monkeypatch.chdir(valid_inputs)
    results = Detection.result
    done = []

    def fail_at_third(self, sample):
        done.append(sample)
        if len(done) == 3:
            raise RuntimeError('out of luck')
        return results(self, sample)

    monkeypatch.setattr(Detection, 'result', fail_at_third)
    options = ('--out', tmp_path / 'out', '--results', tmp_path / 'found.json')
    with pytest.raises(RuntimeError, match='out of luck'):
        cli.run('predict', 'det.py', 'det.pth', 'data/images', *options)
    assert {path.stem for path in (tmp_path / 'out/preds').iterdir()} == {'0', '1'}
    images = {entry['image_id'] for entry in json.loads((tmp_path / 'found.json').read_text())}
    assert images == {1, 2}


@pytest.mark.parametrize('task', ['seg', 'cls'])
def test_a_model_of_gray_images(task, models, tmp_path):
    """Frames are given to it in gray too, as its pipeline loads files."""
    cfg = Config.fromfile(models[task][0])
    cfg.model.backbone.in_channels = 1
    normalization = cfg.model.get('data_preprocessor') or cfg.data_preprocessor
    normalization.update(mean=[99.0], std=[50.0])
    for key in ('bgr_to_rgb', 'to_rgb'):
        normalization.pop(key, None)
    cfg.model.data_preprocessor = normalization
    cfg.test_dataloader.dataset.pipeline[0].color_type = 'grayscale'
    meta = {'dataset_meta': {'classes': list('abcde'), 'palette': [[1, 2, 3]] * 5}}
    checkpoint = tmp_path / 'gray.pth'
    torch.save({'state_dict': build_model(cfg).state_dict(), 'meta': meta}, checkpoint)
    image = tmp_path / 'a.png'
    cv2.imwrite(str(image), cv2.cvtColor(draw(), cv2.COLOR_RGB2GRAY))
    predictor = Predictor(cfg, str(checkpoint), 'cpu')
    of_file, of_frame = predictor.predict([image, cv2.imread(str(image))], batch_size=2)
    np.testing.assert_equal(of_file.result, of_frame.result)


@pytest.mark.parametrize('task', ['seg', 'cls'])
def test_images_that_do_not_fit_into_one_batch(task, models, tmp_path):
    """Where nothing resizes or pads them, they are predicted one by one."""
    cfg = Config.fromfile(models[task][0])
    dataset = cfg.test_dataloader.dataset
    dataset.pipeline = [step for step in dataset.pipeline if 'Resize' not in step['type']]
    if task == 'seg':
        cfg.model.data_preprocessor.update(type='SegDataPreProcessor', test_cfg=None)
    predictor = Predictor(cfg, str(models[task][1]), 'cpu')
    sizes = [(40, 30), (50, 36), (40, 30)]
    images = [cv2.resize(draw(i), size) for i, size in enumerate(sizes)]
    together = list(predictor.predict(images, batch_size=3))
    alone = list(predictor.predict(images, batch_size=1))
    assert [x.picture_YXC.shape[1::-1] for x in together] == sizes
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_equal(one.result, other.result)


def test_labels_of_many_classes_keep_their_number(monkeypatch):
    monkeypatch.setattr(Segmentation, 'classes', ['class'] * 300)
    sample = SegDataSample(pred_sem_seg=PixelData(data=torch.full((1, 2, 3), 299)))
    assert (Segmentation.result(object.__new__(Segmentation), sample) == 299).all()


def test_a_damaged_animation(tmp_path):
    Image.fromarray(draw()).save(tmp_path / 'a.gif')
    pixels = load(tmp_path / 'a.gif')
    assert np.abs(pixels[..., ::-1].astype(int) - draw()).max() < 60
    (tmp_path / 'a.gif').write_bytes((tmp_path / 'a.gif').read_bytes()[:-200])
    with pytest.raises(ValueError, match=r'expected a whole image, .*a.gif cannot be read'):
        load(tmp_path / 'a.gif')
