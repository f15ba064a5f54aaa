"""The main job: one slide from file to result folder; its calls made anew; a model of one's own.

Making calls anew (`recompute`) loads no network; the rest does, on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from histo.lazy import lazily

# Not on first use: its module, of the same name, would hide the function.
from histo.pipeline.recompute import recompute

if TYPE_CHECKING:
    from histo.pipeline.analyze import analyze_slide
    from histo.pipeline.learning import Lesson
    from histo.pipeline.renewal import can_renew, renew_slide
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
    "can_renew",
    "check_target",
    "fingerprint",
    "recompute",
    "renew_slide",
    "score_rows",
    "tune_model",
    "verdict",
]

_LAZY = {
    "analyze_slide": "analyze",
    "Lesson": "learning",
    "can_renew": "renewal",
    "renew_slide": "renewal",
    "Settings": "settings",
    "fingerprint": "settings",
    "TRAINING_JSON": "tuned_card",
    "score_rows": "tuned_card",
    "verdict": "tuned_card",
    "TuneResult": "tuning",
    "TuneSettings": "tuning",
    "check_target": "tuning",
    "tune_model": "tuning",
}

__getattr__ = lazily(__name__, _LAZY)
