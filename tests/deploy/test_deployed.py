"""`Deployed` on small graphs: results, both runtimes, pictures, and what wrong arguments say."""

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from PIL import Image

from mmvig.deploy import Deployed, run_lengths
from mmvig.deploy.images import read_image
from tests.support.commands import ROOT, call
from tests.support.onnx_graphs import FRACTIONS, LABELS, SCORES, write_model

needs_openvino = pytest.mark.skipif(not find_spec('openvino'), reason='needs openvino')
RUNTIMES = ('onnxruntime', pytest.param('openvino', marks=needs_openvino))


@pytest.fixture
def photo() -> np.ndarray:
    """Blue above, red below, of odd size."""
    image = np.zeros((61, 83, 3), np.uint8)
    image[:40, :, 0] = 200
    image[40:, :, 2] = 100
    return image


@pytest.mark.parametrize('runtime', RUNTIMES)
def test_classification(runtime, photo, tmp_path):
    model = Deployed(write_model(tmp_path / 'm.onnx', 'classification'), runtime, threads=1)
    (found,) = model([photo])
    evidence = np.exp(photo.reshape(-1, 3).mean(0) - photo.reshape(-1, 3).mean(0).max())
    assert found[:2] == (0, 'blue')
    assert found.score == pytest.approx(evidence[0] / evidence.sum(), rel=1e-6)
    assert found.as_dict() == {'class': 'blue', 'score': found.score}


@pytest.mark.parametrize('runtime', RUNTIMES)
def test_segmentation(runtime, photo, tmp_path):
    model = Deployed(write_model(tmp_path / 'm.onnx', 'segmentation'), runtime)
    found = model([photo, photo[:, ::2]])
    for result, image in zip(found, (photo, photo[:, ::2]), strict=True):
        np.testing.assert_array_equal(result.labels, image.argmax(axis=-1))


@pytest.mark.parametrize('changes', [
    dict(pad_divisor=32, pad_value=9.0),
    dict(sliding_window={'crop': [32, 48], 'stride': [20, 30]}),
    dict(channel_order='RGB'),
])  # fmt: skip
def test_segmentation_is_of_the_photo_alone(changes, photo, tmp_path):
    """Whatever the padding and the windows: here, logits are the colors."""
    model = Deployed(write_model(tmp_path / 'm.onnx', 'segmentation', **changes))
    (found,) = model([photo])
    order = -1 if 'channel_order' in changes else 1
    np.testing.assert_array_equal(found.labels, photo[:, :, ::order].argmax(axis=-1))


@pytest.mark.parametrize('runtime', RUNTIMES)
@pytest.mark.parametrize('masks', [False, True])
def test_detection(runtime, masks, photo, tmp_path):
    """The graph is told the size without padding, and boxes are scaled to the photo."""
    resize = {'type': 'resize', 'scale': [200, 100], 'keep_ratio': True}
    path = write_model(
        tmp_path / 'm.onnx', 'detection', masks=masks, steps=(resize,), pad_divisor=32
    )
    (found,) = Deployed(path, runtime)([photo])
    np.testing.assert_array_equal(found.labels, LABELS)
    np.testing.assert_array_equal(found.scores, SCORES)
    np.testing.assert_allclose(found.bboxes, FRACTIONS * np.array([83, 61, 83, 61]), rtol=1e-6)
    if not masks:
        assert found.masks is None
        return
    for box, mask in zip(found.bboxes, found.masks, strict=True):
        mask_YX = run_lengths.decode(mask)
        assert mask_YX.shape == photo.shape[:2]
        rows, columns = np.nonzero(mask_YX)
        center = (columns.mean() + 0.5, rows.mean() + 0.5)
        np.testing.assert_allclose(center, (box[:2] + box[2:]) / 2, atol=0.5)
        # An ellipse of 0.7 of the box's axes.
        assert mask_YX.sum() == pytest.approx(
            np.pi / 4 * 0.7**2 * np.prod(box[2:] - box[:2]), rel=0.1
        )


def test_paths_and_arrays_give_the_same(photo, tmp_path):
    cv2.imwrite(str(tmp_path / 'photo.png'), photo)
    model = Deployed(write_model(tmp_path / 'm.onnx', 'segmentation'))
    found = model([str(tmp_path / 'photo.png'), tmp_path / 'photo.png', photo])
    for result in found:
        np.testing.assert_array_equal(result.labels, found[-1].labels)
    assert model([]) == []


def test_photos_are_turned_as_exif_says(tmp_path):
    """Like `cv2.imread` and so the MM libraries."""
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90°
    Image.new('RGB', (40, 20), 'red').save(tmp_path / 'a.jpg', exif=exif)
    assert read_image(tmp_path / 'a.jpg').shape == (40, 20, 3)


def test_a_cut_jpeg_with_a_preview_is_noticed(tmp_path):
    """The preview's end marker is not that of the photo; what follows the photo's is let be."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    content = cv2.imencode('.jpg', noise)[1].tobytes()
    preview = cv2.imencode('.jpg', noise[:8, :8])[1].tobytes()
    segment = b'\xff\xe1' + (len(preview) + 2).to_bytes(2, 'big') + preview
    whole = content[:2] + segment + content[2:]
    path = tmp_path / 'a.jpg'
    path.write_bytes(whole + b'film \xff\xda')
    np.testing.assert_array_equal(
        read_image(path), cv2.imdecode(np.frombuffer(content, np.uint8), 1)
    )
    path.write_bytes(whole[:-900])
    with pytest.raises(ValueError, match='cut short'):
        read_image(path)


def test_pictures_of_instances(photo, tmp_path):
    """They show from the score on, in the color of their class; the photo itself stays."""
    photo = photo.repeat(4, 0).repeat(4, 1)
    before = photo.copy()
    model = Deployed(write_model(tmp_path / 'm.onnx', 'detection'))
    (result,) = model([photo])
    picture = model.draw(photo, result, score_thr=0.5)
    np.testing.assert_array_equal(photo, before)
    np.testing.assert_array_equal(model.draw(photo, result, score_thr=0.95), photo)
    left, top, right, bottom = np.rint(result.bboxes[0]).astype(int)
    assert (picture[bottom, left:right] == (0, 0, 255)).all()  # BGR
    row, column = (top + bottom) // 2, (left + right) // 2
    np.testing.assert_array_equal(picture[row, column], photo[row, column] // 2 + (0, 0, 127))
    # Neither corner of the first box has a mask, and the second instance is not drawn.
    for y, x in ((bottom - 9, left + 9), (row, right + 20), (top - 20, column)):
        np.testing.assert_array_equal(picture[y, x], photo[y, x])


def test_pictures_of_label_maps_and_classes(photo, tmp_path):
    photo = photo.repeat(4, 0).repeat(4, 1)
    model = Deployed(write_model(tmp_path / 'm.onnx', 'segmentation'))
    picture = model.draw(photo, model([photo])[0])
    np.testing.assert_array_equal(picture[5, 5], photo[5, 5] // 2 + (127, 0, 0))
    names = (picture == (255, 0, 0)).all(axis=-1)  # the fields of names have the whole color
    rows, columns = np.nonzero(names)
    assert 0 < rows.min() < rows.max() < 160  # the upper part is blue
    model = Deployed(write_model(tmp_path / 'm.onnx', 'classification'))
    picture = model.draw(photo, model([photo])[0])
    assert (picture[0, 0] == 0).all()
    np.testing.assert_array_equal(picture[-1], photo[-1])


def test_pictures_of_the_smallest_photos(tmp_path):
    """One pixel has no place for a name."""
    for task in ('detection', 'segmentation', 'classification'):
        model = Deployed(write_model(tmp_path / 'm.onnx', task))
        photo = np.zeros((1, 1, 3), np.uint8)
        assert model.draw(photo, model([photo])[0], score_thr=0).shape == (1, 1, 3)


@pytest.mark.parametrize('runtime', RUNTIMES)
def test_threads_may_share_a_model(runtime, photo, tmp_path):
    model = Deployed(write_model(tmp_path / 'm.onnx', 'segmentation'), runtime, threads=1)
    photos = [np.roll(photo, i, axis=0).repeat(5, 0).repeat(5, 1) for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda image: model([image])[0], photos))
    for result, image in zip(found, photos, strict=True):
        np.testing.assert_array_equal(result.labels, image.argmax(axis=-1))


def test_threads_are_passed_on(monkeypatch, photo, tmp_path):
    import onnxruntime

    seen = []
    original = onnxruntime.InferenceSession

    def session(path, options, **kwargs):
        seen.append(options.intra_op_num_threads)
        return original(path, options, **kwargs)

    monkeypatch.setattr(onnxruntime, 'InferenceSession', session)
    path = write_model(tmp_path / 'm.onnx', 'segmentation')
    Deployed(path, threads=3)
    Deployed(path)
    assert seen == [3, 0]  # 0: as many as there are cores


SIGNAL_AFTER_MODELS = """
import signal
from mmvig.deploy import Deployed

first = Deployed('m.onnx', 'openvino')
second = Deployed('m.onnx', 'openvino')
del first
del second
signal.signal(signal.SIGUSR1, lambda *_: print('handled'))
signal.raise_signal(signal.SIGUSR1)
"""


@needs_openvino
def test_signals_are_handled_after_two_models(tmp_path):
    """Two cores of OpenVINO leave a stack that is gone to the handlers of signals."""
    write_model(tmp_path / 'm.onnx', 'segmentation')
    done = call(sys.executable, '-c', SIGNAL_AFTER_MODELS, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.stdout == 'handled\n'


@pytest.mark.parametrize('runtime', ['onnxruntime', 'openvino'])
def test_a_runtime_that_is_not_installed(runtime, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, runtime, None)
    path = write_model(tmp_path / 'm.onnx', 'segmentation')
    with pytest.raises(ImportError, match=f'not installed: pip install {runtime}'):
        Deployed(path, runtime=runtime)


def test_pillow_is_asked_for_where_a_model_needs_it(monkeypatch, photo, tmp_path):
    step = {'type': 'resize_edge', 'edge': 'short', 'size': 32, 'backend': 'pillow'}
    model = Deployed(write_model(tmp_path / 'm.onnx', 'classification', steps=(step,)))
    monkeypatch.setitem(sys.modules, 'PIL', None)
    with pytest.raises(ImportError, match='images are resized by it: pip install pillow'):
        model([photo])


def test_wrong_arguments(photo, tmp_path):
    path = write_model(tmp_path / 'm.onnx', 'segmentation')
    with pytest.raises(FileNotFoundError, match='expected an ONNX file at absent.onnx'):
        Deployed('absent.onnx')
    with pytest.raises(ValueError, match='one of onnxruntime, openvino, got .tensorrt.'):
        Deployed(path, runtime='tensorrt')
    with pytest.raises(ValueError, match='expected threads to be 1 or more, got 0'):
        Deployed(path, threads=0)
    model = Deployed(path)
    for image, message in (
        (photo.astype(np.float32), r'BGR uint8 arrays .* got float32 \[61, 83, 3\]'),
        (photo[:, :, 0], r'got uint8 \[61, 83\]'),
        (photo[:0], r'with pixels, got \[0, 83, 3\]'),
        (str(path), 'expected a whole image, .*m.onnx cannot be read as one'),
    ):
        with pytest.raises(ValueError, match=message):
            model([image])
    with pytest.raises(FileNotFoundError, match='expected an image at absent.jpg'):
        model(['absent.jpg'])
    for single in (photo, 'photo.jpg'):
        with pytest.raises(ValueError, match='got a single one'):
            model(single)
