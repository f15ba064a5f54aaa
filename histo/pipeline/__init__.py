"""The main job: one slide from file to result folder, and its calls made anew."""

from histo.pipeline.analyze import analyze_slide
from histo.pipeline.recompute import recompute
from histo.pipeline.settings import Settings, fingerprint

__all__ = ["Settings", "analyze_slide", "fingerprint", "recompute"]
