"""What can go wrong with content, as opposed to arguments.

Bad arguments raise ``ValueError``. Content that cannot be used (a slide, a panel, a
model, a result folder) raises one of these, in one sentence that says what was found,
where, and what to do.
"""

__all__ = [
    "AnnotationError",
    "Cancelled",
    "EditError",
    "HistoError",
    "ModelError",
    "PanelError",
    "ResultError",
    "SlideError",
    "StainError",
]


class HistoError(Exception):
    """Base of all errors about content; the batch records it and goes on.

    Examples
    --------
    >>> raise SlideError("liver.tif: truncated after 3 of 12 tiles; copy the file again.")
    Traceback (most recent call last):
    ...
    histo.errors.SlideError: liver.tif: truncated after 3 of 12 tiles; copy the file again.
    """


class SlideError(HistoError):
    """A slide cannot be opened or read, or lacks what the analysis needs."""


class StainError(HistoError):
    """Stain vectors cannot be loaded, estimated or told apart."""


class PanelError(HistoError):
    """A panel file is wrong, or does not fit the slide."""


class ModelError(HistoError):
    """A model folder is incomplete, altered, or does not fit the slide."""


class ResultError(HistoError):
    """A result folder cannot be written, or is not one of ours."""


class AnnotationError(HistoError):
    """A file of a reader's (cells, regions, a design) cannot be read, or lacks what is needed."""


class EditError(HistoError):
    """A correction by hand cannot be made, stored or read."""


class Cancelled(BaseException):
    """The user has stopped the work; raised from within a progress function.

    Like ``KeyboardInterrupt`` it passes through a batch, which records failures and goes on.

    Examples
    --------
    >>> def progress(stage, part):
    ...     raise Cancelled
    >>> progress("reading", 0.0)
    Traceback (most recent call last):
    ...
    histo.errors.Cancelled
    """
