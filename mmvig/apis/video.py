"""Videos, frame by frame: reading one, and writing one with the predictions drawn over it."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import mmcv
import numpy as np

from .images import ImageError
from .tasks import Prediction

# Formats whose header has the exact number of frames; of others OpenCV estimates it.
COUNTED = {'.mp4', '.m4v', '.mov', '.avi'}
VIDEO_SUFFIXES = {*COUNTED, '.mkv', '.webm', '.mpg', '.mpeg', '.wmv', '.flv', '.ts'}
DEFAULT_FPS = 25.0  # of a video that does not tell


class Video:
    """The frames of a video, [Y, X, 3], BGR in uint8, read one after another by OpenCV.

    Args:
        path: of the video.

    Attributes:
        path: as given.
        first: the first frame.
        fps: frames a second.
        size: width and height.
        count: frames by the header, which some formats only estimate; 0 if it does not tell.
        frames_read: how many have been read so far.

    Raises:
        ImageError: it cannot be opened, or no frame of it can be decoded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._capture = cv2.VideoCapture(str(path))
        self.first = self._capture.read()[1]
        if self.first is None:
            raise ImageError(path, _cannot_read(path))
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and fps > 0 else DEFAULT_FPS
        self.size = self.first.shape[1::-1]
        self.count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.frames_read = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        """All frames, once."""
        frame = self.first
        while frame is not None:
            self.frames_read += 1
            yield frame
            frame = self._capture.read()[1]
        self._capture.release()

    def check_complete(self) -> None:
        """After the last frame was read, compare their number with that of the header.

        The header of a sound video may count a few more than are shown.

        Raises:
            ImageError: much of the video could not be read.
        """
        missing = self.count - self.frames_read
        if self.path.suffix.lower() in COUNTED and missing > max(2, self.count // 50):
            raise ImageError(
                self.path,
                f'expected {self.count} frames in {self.path}, only the first {self.frames_read} '
                'can be read, and are predicted: it is cut short or damaged',
            )


class VideoResults:
    """Writes predictions of a video's frames as they come.

    `out/vis/NAME.mp4` is the video with predictions drawn over it, in the speed and size of the
    other; MPEG-4 needs even sides, so the last row or column of an odd one is repeated. The
    predictions go to `out/preds/NAME.jsonl`, a line per frame (detection, classification), or
    `out/pred/NAME/000000.png` and so on (segmentation).

    Args:
        out: the folder of results.
        task: 'detection', 'segmentation' or 'classification'.
        name: of the results.
        video: that is predicted.

    Attributes:
        frames: the number of frames written.

    Raises:
        OSError: the video cannot be written.
    """

    def __init__(self, out: Path, task: str, name: str, video: Video) -> None:
        self.frames = 0
        self._size = video.size
        self._maps = out / 'pred' / name if task == 'segmentation' else None
        lines = out / f'preds/{name}.jsonl'
        self._drawn = out / f'vis/{name}.mp4'
        self._drawn.parent.mkdir(parents=True, exist_ok=True)
        even = tuple(side + side % 2 for side in video.size)
        codec = cv2.VideoWriter_fourcc(*'mp4v')
        self._writer = cv2.VideoWriter(str(self._drawn), codec, video.fps, even)
        if not self._writer.isOpened():
            raise OSError(f'{self._drawn} cannot be written: this OpenCV has no MPEG-4 encoder')
        self._lines = None
        if self._maps is None:
            lines.parent.mkdir(parents=True, exist_ok=True)
            self._lines = lines.open('w', encoding='utf-8')

    def __enter__(self) -> 'VideoResults':
        return self

    def __exit__(self, kind: type | None, *error) -> None:
        self._writer.release()
        if self._lines is not None:
            self._lines.close()
        if kind is None:
            self._check_written()

    def write(self, prediction: Prediction) -> None:
        picture_YXC = mmcv.rgb2bgr(prediction.picture_YXC)
        if picture_YXC.shape[1::-1] != self._size:  # else OpenCV drops the frame in silence
            picture_YXC = cv2.resize(picture_YXC, self._size)
        bottom, right = (side % 2 for side in picture_YXC.shape[:2])
        self._writer.write(
            cv2.copyMakeBorder(picture_YXC, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        )
        if self._lines is None:
            mmcv.imwrite(prediction.result, str(self._maps / f'{self.frames:06}.png'))
        else:
            line = {'frame': self.frames, **prediction.result}
            self._lines.write(json.dumps(line, ensure_ascii=False) + '\n')
        self.frames += 1

    def _check_written(self) -> None:
        """OpenCV does not report a full disk."""
        written = cv2.VideoCapture(str(self._drawn)).get(cv2.CAP_PROP_FRAME_COUNT)
        if written != self.frames:
            raise OSError(
                f'could not write {self._drawn}: {written:.0f} of {self.frames} frames are in it; '
                'is the disk full?'
            )


def is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _cannot_read(path: Path) -> str:
    if not path.stat().st_size:
        return f'expected a video, {path} is an empty file'
    return (
        f'expected a video that OpenCV can read, no frame of {path} can be: it is cut short, '
        "damaged, or in a codec that OpenCV lacks, which 'ffmpeg -i IN -c:v mpeg4 OUT.mp4' changes"
    )
