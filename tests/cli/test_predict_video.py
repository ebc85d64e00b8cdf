"""`mmvig predict` on videos: frames in, a video and results of each frame out."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmvig.apis.inference import Predictor
from mmvig.apis.video import Video, VideoResults

FPS = 12.5

# OpenCV's own writer, which keeps odd sides, but only whole numbers of frames a second.
OWN = cv2.CAP_OPENCV_MJPEG


def draw(frame: int, size: tuple[int, int]) -> np.ndarray:
    """A grey level that grows with the frame, ten times, and something to look at; BGR."""
    picture = np.full((size[1], size[0], 3), 40 + 20 * (frame % 10), np.uint8)
    return cv2.circle(picture, (8 + 2 * frame, 16), 6, (40, 90, 200), -1)


def write(path: Path, frames: int = 10, size=(64, 48), codec='mp4v', api=cv2.CAP_ANY) -> Path:
    fps = round(FPS) if api == OWN else FPS
    writer = cv2.VideoWriter(str(path), api, cv2.VideoWriter_fourcc(*codec), fps, size)
    assert writer.isOpened()
    for frame in range(frames):
        writer.write(draw(frame, size))
    writer.release()
    return path


def read(path: Path) -> tuple[list[np.ndarray], float]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (frame := capture.read()[1]) is not None:
        frames.append(frame)
    return frames, capture.get(cv2.CAP_PROP_FPS)


@pytest.mark.parametrize('task', ['det', 'seg', 'cls'])
def test_frames_in_and_a_video_out(task, models, valid_inputs, cli, tmp_path):
    out = tmp_path / 'out'
    files = (write(tmp_path / 'clip.mp4'), valid_inputs / 'data/images/0.jpg')
    options = ('--out', out, '--batch-size', 4, '--score-thr', 1.1)
    result = cli.run('predict', *models[task], *files, *options)
    assert result.status == 0, result.err[-3000:]
    assert ' 10/10, ' in result.err, 'progress is shown'
    drawn, fps = read(out / 'vis/clip.mp4')
    assert fps == FPS
    assert [frame.shape for frame in drawn] == [(48, 64, 3)] * 10
    assert list((out / 'vis').glob('0.*'))
    if task == 'det':  # nothing is drawn above a score of 1: the frames are those of the clip
        for frame, picture in enumerate(drawn):
            error = np.abs(picture.astype(int) - draw(frame, (64, 48)))
            assert np.median(error) < 10, 'frames are in order'
            assert error[16, 8 + 2 * frame].max() <= 60, 'red is not blue'
    if task != 'seg':
        lines = [json.loads(line) for line in (out / 'preds/clip.jsonl').open()]
        assert [line.pop('frame') for line in lines] == list(range(10))
        keys = {'det': {'labels', 'scores', 'bboxes', 'masks'}, 'cls': {'class', 'score'}}[task]
        assert all(set(line) == keys for line in lines)
    else:
        maps = sorted((out / 'pred/clip').iterdir())
        assert [path.name for path in maps] == [f'{i:06}.png' for i in range(10)]
        assert cv2.imread(str(maps[0]), cv2.IMREAD_UNCHANGED).shape == (48, 64)


@pytest.fixture(scope='module')
def predictor(valid_inputs) -> Predictor:
    return Predictor(Config.fromfile(valid_inputs / 'seg.py'), str(valid_inputs / 'seg.pth'), 'cpu')


def test_a_frame_is_predicted_as_the_image_of_it(predictor, tmp_path):
    frames = [draw(i, (64, 48)) for i in range(3)]
    for i, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / f'{i}.png'), frame)
    of_files = predictor.predict([tmp_path / f'{i}.png' for i in range(3)], batch_size=2)
    of_frames = predictor.predict(frames, batch_size=2)
    for one, other in zip(of_files, of_frames, strict=True):
        np.testing.assert_array_equal(one.result, other.result)
        np.testing.assert_array_equal(one.picture_YXC, other.picture_YXC)


def test_no_more_frames_are_read_than_a_batch_needs(predictor):
    read_frames = []

    def frames():
        for i in range(7):
            read_frames.append(i)
            yield draw(i, (64, 48))

    for done, _ in enumerate(predictor.predict(frames(), batch_size=3)):
        assert len(read_frames) == min(7, 3 * (done // 3 + 1))


def test_odd_sides_keep_all_their_pixels(predictor, tmp_path):
    video = Video(write(tmp_path / 'odd.avi', 3, (63, 47), 'MJPG', OWN))
    assert (video.size, video.fps, video.count) == ((63, 47), round(FPS), 3)
    with VideoResults(tmp_path, 'segmentation', 'odd', video) as results:
        for prediction in predictor.predict(video):
            results.write(prediction)
    drawn, fps = read(tmp_path / 'vis/odd.mp4')
    assert fps == round(FPS)
    assert [frame.shape for frame in drawn] == [(48, 64, 3)] * 3
    labels = cv2.imread(str(tmp_path / 'pred/odd/000002.png'), cv2.IMREAD_UNCHANGED)
    assert labels.shape == (47, 63)


def cut(path: Path, kept: float = 0.5) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])


def test_a_video_that_breaks_off(valid_inputs, cli, tmp_path, monkeypatch):
    """What could be read is predicted and kept, and a line says so."""
    monkeypatch.chdir(valid_inputs)
    clip = write(tmp_path / 'clip.avi', 40, codec='MJPG')
    cut(clip)
    out = tmp_path / 'out'
    message = cli.user_error('predict', 'seg.py', 'seg.pth', clip, '--out', out)
    pattern = (
        r'expected 40 frames in \S*clip.avi, only the first (\d+) can be read, and are predicted: '
        'it is cut short or damaged'
    )
    match = re.fullmatch(pattern, message)
    assert match, message
    kept = int(match[1])
    assert 5 < kept < 35
    assert len(read(out / 'vis/clip.mp4')[0]) == kept
    assert len(list((out / 'pred/clip').iterdir())) == kept


@pytest.mark.parametrize(
    ('message', 'content'),
    [
        ('expected a video, .*bad.mp4 is an empty file', b''),
        ('expected a video that OpenCV can read, no frame of .*bad.mp4 can be: it is cut', b'text'),
        ('no frame of .*bad.mp4 can be: .* in a codec that OpenCV lacks', 'codec'),
        ('no frame of .*bad.mp4 can be: it is cut short', 'cut'),
    ],
)
def test_videos_that_cannot_be_read(message, content, valid_inputs, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(valid_inputs)
    bad = tmp_path / 'bad.mp4'
    if isinstance(content, bytes):
        bad.write_bytes(content)
    elif content == 'cut':
        cut(write(bad))  # the table of frames is at the end
    else:
        clip = write(tmp_path / 'clip.avi', codec='FMP4')
        bad.write_bytes(clip.read_bytes().replace(b'FMP4', b'QQQQ'))
    error = cli.user_error('predict', 'seg.py', 'seg.pth', bad, '--out', tmp_path / 'out')
    assert re.search(message, error), error
    assert not (tmp_path / 'out').exists()


def test_a_bad_video_among_images(valid_inputs, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(valid_inputs)
    bad = tmp_path / 'bad.mp4'
    bad.write_text('words')
    files = (bad, 'data/images/0.jpg', 'data/images/1.jpg')
    error = cli.user_error('predict', 'seg.py', 'seg.pth', *files, '--out', tmp_path / 'out')
    assert re.search(r'no frame of .*bad.mp4 can be: .*; the others are predicted \(2\)$', error), (
        error
    )


def test_coco_results_are_of_images(valid_inputs, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(valid_inputs)
    options = ('--results', tmp_path / 'found.json', '--out', tmp_path / 'out')
    error = cli.user_error('predict', 'det.py', 'det.pth', write(tmp_path / 'a.mp4'), *options)
    assert error.startswith('expected images for --results, got the video')


def test_a_full_disk_is_noticed(predictor, tmp_path, monkeypatch):
    """OpenCV writes on in silence."""
    video = Video(write(tmp_path / 'a.mp4', 2))
    written = tmp_path / 'out/vis/a.mp4'

    def predict_video() -> None:
        with VideoResults(tmp_path / 'out', 'segmentation', 'a', video) as results:
            for prediction in predictor.predict(video):
                results.write(prediction)
            results._writer.release()
            cut(written)

    with pytest.raises(OSError, match=f'could not write {written}: .* of 2 frames are in it'):
        predict_video()
