"""Detection on images of any height: mmdet's heads on maps that are read a window at a time.

The maps are exact (see `mmvig.streaming`), and the heads are mmdet's own: they are given strips of
a map, or windows of it, in the place of the whole. What they keep, and how boxes that overlap are
suppressed, is decided once for the whole image, so there are no seams.
"""

from .stream import plan_detection, stream_detection

__all__ = ['plan_detection', 'stream_detection']
