"""The command line: thin commands over :mod:`histo.batch` and :mod:`histo.pipeline`."""

from histo.cli.entry import main

__all__ = ["main"]
