"""What rasterio raises, as errors that name the file and what became of it."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rasterio.errors import NotGeoreferencedWarning, RasterioError

from mmvig.checks.errors import one_line


@contextmanager
def raster_errors(made_of: Callable[[str], Exception]) -> Iterator[None]:
    """Raise what `made_of` makes of the cause of a `RasterioError`; absent coordinates warn of
    nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            yield
    except RasterioError as error:
        raise made_of(one_line(error.__cause__ or error)) from error
