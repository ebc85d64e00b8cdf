"""The chunk form as an operator of torch."""

from .chunked import chunked_backward, chunked_forward
from .library import make_op

bi_gla_chunked = make_op('bi_gla_chunked', chunked_forward, chunked_backward)
