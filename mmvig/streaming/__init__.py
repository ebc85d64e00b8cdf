"""Models run over images by strips of rows: exact, with global context, in bounded memory."""

from .errors import ForeignJournalError, StreamingError
from .features import plan_features, stream_features
from .image import Normalization
from .plan import Plan
from .rows import ArrayRows, ArraySink, Rows, RowSink
from .segmentation import plan_segmentation, stream_segmentation
from .workspace import Workspace

__all__ = [
    'ArrayRows',
    'ArraySink',
    'ForeignJournalError',
    'Normalization',
    'Plan',
    'RowSink',
    'Rows',
    'StreamingError',
    'Workspace',
    'plan_features',
    'plan_segmentation',
    'stream_features',
    'stream_segmentation',
]
