"""One folder a slide: cells, metrics, labels, outlines and pictures, written atomically."""

from histo.results.calls import CallClass, call_classes, called_markers
from histo.results.folder import check_writable, replace_file, result_folder
from histo.results.geojson import GEOJSON_NAMES, write_geojson
from histo.results.labels import LabelWriter, open_labels
from histo.results.outlines import Outlines, OutlineWriter, Rings, read_outlines
from histo.results.provenance import input_record, make_manifest, sha256_file, software_record

__all__ = [
    "GEOJSON_NAMES",
    "CallClass",
    "LabelWriter",
    "OutlineWriter",
    "Outlines",
    "Rings",
    "call_classes",
    "called_markers",
    "check_writable",
    "input_record",
    "make_manifest",
    "open_labels",
    "read_outlines",
    "replace_file",
    "result_folder",
    "sha256_file",
    "software_record",
    "write_geojson",
]
