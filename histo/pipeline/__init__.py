"""The main job: one slide from file to result folder; its calls made anew; a model of one's own."""

from histo.pipeline.analyze import analyze_slide
from histo.pipeline.learning import Lesson
from histo.pipeline.recompute import recompute
from histo.pipeline.settings import Settings, fingerprint
from histo.pipeline.tuned_card import TRAINING_JSON, score_rows, verdict
from histo.pipeline.tuning import TuneResult, TuneSettings, check_target, tune_model

__all__ = [
    "TRAINING_JSON",
    "Lesson",
    "Settings",
    "TuneResult",
    "TuneSettings",
    "analyze_slide",
    "check_target",
    "fingerprint",
    "recompute",
    "score_rows",
    "tune_model",
    "verdict",
]
