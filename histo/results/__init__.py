"""One folder a slide: cells, metrics, labels, outlines and pictures, written atomically."""

from histo.results.bland_altman import draw_bland_altman
from histo.results.calls import CallClass, call_classes, called_markers
from histo.results.channels import show_channels
from histo.results.drawing import write_png
from histo.results.field import draw_field
from histo.results.folder import check_writable, replace_file, result_folder
from histo.results.gallery import GalleryCell, choose_cells, draw_gallery
from histo.results.geojson import GEOJSON_NAMES, measurement_name, write_geojson
from histo.results.labels import LabelWriter, open_labels
from histo.results.outlines import Outlines, OutlineWriter, Rings, read_outlines
from histo.results.overview import Caption, draw_overview
from histo.results.provenance import (
    RESEARCH_USE,
    input_record,
    make_manifest,
    sha256_file,
    software_record,
)
from histo.results.reader import CellFile, read_cells, read_region
from histo.results.slide_result import (
    SlideResult,
    read_manifest,
    read_slide_result,
    write_metrics_csv,
    write_slide_result,
)

__all__ = [
    "GEOJSON_NAMES",
    "RESEARCH_USE",
    "CallClass",
    "Caption",
    "CellFile",
    "GalleryCell",
    "LabelWriter",
    "OutlineWriter",
    "Outlines",
    "Rings",
    "SlideResult",
    "call_classes",
    "called_markers",
    "check_writable",
    "choose_cells",
    "draw_bland_altman",
    "draw_field",
    "draw_gallery",
    "draw_overview",
    "input_record",
    "make_manifest",
    "measurement_name",
    "open_labels",
    "read_cells",
    "read_manifest",
    "read_outlines",
    "read_region",
    "read_slide_result",
    "replace_file",
    "result_folder",
    "sha256_file",
    "show_channels",
    "software_record",
    "write_geojson",
    "write_metrics_csv",
    "write_png",
    "write_slide_result",
]
