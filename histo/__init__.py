"""histo: from stained tissue sections to a defensible answer about Tregs, RANKL and metastasis.

The path that data takes: :func:`histo.slide.open_slide`, :mod:`histo.tissue` and
:mod:`histo.stain`, :mod:`histo.nuclei`, :mod:`histo.cells`, :mod:`histo.panel`,
:mod:`histo.metrics`; :func:`histo.pipeline.analyze_slide` walks it whole.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
