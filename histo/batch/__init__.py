"""Many slides: find them, analyse each, keep what is finished, one table for all."""

from histo.batch.find import find_slides

__all__ = ["find_slides"]
