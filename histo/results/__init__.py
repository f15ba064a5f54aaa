"""One folder a slide: cells, metrics, labels, outlines and pictures, written atomically.

What draws, reads pyramids or computes is loaded on first use: a viewer that opens one table stays
quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from histo.lazy import lazily

if TYPE_CHECKING:
    from histo.results.annotations import Annotation, mask_rings, write_annotations
    from histo.results.bland_altman import draw_bland_altman
    from histo.results.calls import CallClass, call_classes, called_markers
    from histo.results.channels import channel_colours, show_channels
    from histo.results.compartment_picture import draw_compartments
    from histo.results.drawing import write_png
    from histo.results.field import draw_field
    from histo.results.folder import (
        check_writable,
        clear_leftovers,
        replace_file,
        result_folder,
        take_over,
    )
    from histo.results.gallery import GalleryCell, choose_cells, draw_gallery
    from histo.results.geojson import GEOJSON_NAMES, measurement_name, write_geojson
    from histo.results.labels import LabelWriter, open_labels
    from histo.results.lung_picture import draw_lung
    from histo.results.outlines import DRAWN_OUTLINES, Outlines, OutlineWriter, Rings, read_outlines
    from histo.results.overview import Caption, draw_overview
    from histo.results.provenance import (
        RESEARCH_USE,
        input_record,
        make_manifest,
        sha256_file,
        software_record,
    )
    from histo.results.reader import CellFile, read_cells, read_region
    from histo.results.reader_qupath import QuPathObjects, QuPathRegion, read_qupath
    from histo.results.slide_result import (
        SlideResult,
        read_manifest,
        read_slide_result,
        write_metrics_csv,
        write_slide_result,
    )

__all__ = [
    "DRAWN_OUTLINES",
    "GEOJSON_NAMES",
    "RESEARCH_USE",
    "Annotation",
    "CallClass",
    "Caption",
    "CellFile",
    "GalleryCell",
    "LabelWriter",
    "OutlineWriter",
    "Outlines",
    "QuPathObjects",
    "QuPathRegion",
    "Rings",
    "SlideResult",
    "call_classes",
    "called_markers",
    "channel_colours",
    "check_writable",
    "choose_cells",
    "clear_leftovers",
    "draw_bland_altman",
    "draw_compartments",
    "draw_field",
    "draw_gallery",
    "draw_lung",
    "draw_overview",
    "input_record",
    "make_manifest",
    "mask_rings",
    "measurement_name",
    "open_labels",
    "read_cells",
    "read_manifest",
    "read_outlines",
    "read_qupath",
    "read_region",
    "read_slide_result",
    "replace_file",
    "result_folder",
    "sha256_file",
    "show_channels",
    "software_record",
    "take_over",
    "write_annotations",
    "write_geojson",
    "write_metrics_csv",
    "write_png",
    "write_slide_result",
]

_HOMES = {
    "Annotation": "annotations",
    "CallClass": "calls",
    "Caption": "overview",
    "CellFile": "reader",
    "DRAWN_OUTLINES": "outlines",
    "GEOJSON_NAMES": "geojson",
    "GalleryCell": "gallery",
    "LabelWriter": "labels",
    "OutlineWriter": "outlines",
    "Outlines": "outlines",
    "QuPathObjects": "reader_qupath",
    "QuPathRegion": "reader_qupath",
    "RESEARCH_USE": "provenance",
    "Rings": "outlines",
    "SlideResult": "slide_result",
    "call_classes": "calls",
    "called_markers": "calls",
    "channel_colours": "channels",
    "check_writable": "folder",
    "choose_cells": "gallery",
    "clear_leftovers": "folder",
    "draw_bland_altman": "bland_altman",
    "draw_compartments": "compartment_picture",
    "draw_field": "field",
    "draw_gallery": "gallery",
    "draw_lung": "lung_picture",
    "draw_overview": "overview",
    "input_record": "provenance",
    "make_manifest": "provenance",
    "mask_rings": "annotations",
    "measurement_name": "geojson",
    "open_labels": "labels",
    "read_cells": "reader",
    "read_manifest": "slide_result",
    "read_outlines": "outlines",
    "read_qupath": "reader_qupath",
    "read_region": "reader",
    "read_slide_result": "slide_result",
    "replace_file": "folder",
    "result_folder": "folder",
    "sha256_file": "provenance",
    "show_channels": "channels",
    "software_record": "provenance",
    "take_over": "folder",
    "write_annotations": "annotations",
    "write_geojson": "geojson",
    "write_metrics_csv": "slide_result",
    "write_png": "drawing",
    "write_slide_result": "slide_result",
}

__getattr__ = lazily(__name__, _HOMES)
