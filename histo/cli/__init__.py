"""The command line: thin commands over :mod:`histo.batch` and :mod:`histo.pipeline`."""

from histo.cli.app import main

__all__ = ["main"]
