"""Many slides: find them, analyse each, keep what is finished, one table for all; validate."""

from histo.batch.animal_files import animals_record, write_animals
from histo.batch.animals import Animal, AnimalTable, GroupSummary, pool_animals, summarize_groups
from histo.batch.design import DISTANCES_UM, Design, DesignRow, read_design
from histo.batch.evaluate import Evaluation, ImageEvaluation, Scoring, evaluate_pairs
from histo.batch.evaluation_files import evaluation_record, write_evaluation
from histo.batch.events import BatchEvent, BatchProgress
from histo.batch.find import find_slides
from histo.batch.lessons import Lessons, find_lessons
from histo.batch.pairs import ImagePair, Pairing, pair_files
from histo.batch.run import (
    BatchSummary,
    analyze_folder,
    merge_summaries,
    recompute_folder,
    result_folders,
)
from histo.batch.tables import Failure, SlideRow, refresh_tables

__all__ = [
    "DISTANCES_UM",
    "Animal",
    "AnimalTable",
    "BatchEvent",
    "BatchProgress",
    "BatchSummary",
    "Design",
    "DesignRow",
    "Evaluation",
    "Failure",
    "GroupSummary",
    "ImageEvaluation",
    "ImagePair",
    "Lessons",
    "Pairing",
    "Scoring",
    "SlideRow",
    "analyze_folder",
    "animals_record",
    "evaluate_pairs",
    "evaluation_record",
    "find_lessons",
    "find_slides",
    "merge_summaries",
    "pair_files",
    "pool_animals",
    "read_design",
    "recompute_folder",
    "refresh_tables",
    "result_folders",
    "summarize_groups",
    "write_animals",
    "write_evaluation",
]
