"""Many slides: find them, analyse each, keep what is finished, one table for all."""

from histo.batch.events import BatchEvent, BatchProgress
from histo.batch.find import find_slides
from histo.batch.run import (
    BatchSummary,
    analyze_folder,
    merge_summaries,
    recompute_folder,
    result_folders,
)
from histo.batch.tables import Failure, SlideRow

__all__ = [
    "BatchEvent",
    "BatchProgress",
    "BatchSummary",
    "Failure",
    "SlideRow",
    "analyze_folder",
    "find_slides",
    "merge_summaries",
    "recompute_folder",
    "result_folders",
]
