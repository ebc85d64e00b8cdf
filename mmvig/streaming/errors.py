"""What keeps a model or an image from being run by strips."""


class StreamingError(ValueError):
    """The model, the image or the workspace does not fit; the message says what would."""


class ForeignJournalError(StreamingError):
    """A workspace holds the unfinished run of another model, image or setting."""
