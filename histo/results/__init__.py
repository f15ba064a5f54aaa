"""One folder a slide: cells, metrics, labels, outlines and pictures, written atomically."""

from histo.results.calls import CallClass, call_classes, called_markers
from histo.results.folder import check_writable, replace_file, result_folder
from histo.results.geojson import GEOJSON_NAMES, write_geojson
from histo.results.labels import LabelWriter, open_labels
from histo.results.outlines import Outlines, OutlineWriter, read_outlines

__all__ = [
    "GEOJSON_NAMES",
    "CallClass",
    "LabelWriter",
    "OutlineWriter",
    "Outlines",
    "call_classes",
    "called_markers",
    "check_writable",
    "open_labels",
    "read_outlines",
    "replace_file",
    "result_folder",
    "write_geojson",
]
