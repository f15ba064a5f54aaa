"""The documents say what the code does."""

import re
from pathlib import Path

import pytest

from histo.cells import SCHEMA
from histo.metrics import SlideAreas, slide_metrics
from histo.panel import (
    FLAG_WORDS,
    Channel,
    Marker,
    Panel,
    SizeLimits,
    classify_cells,
    load_panel,
    panel_names,
    read_panel,
    resolve_thresholds,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"


def text(name):
    return (DOCS / name).read_text("utf-8")


@pytest.mark.parametrize("name", panel_names())
def test_every_metric_is_documented_with_its_denominator(make_cells, name):
    panel = load_panel(name)
    cells = make_cells(
        0, stains=panel.channel_names or ("hematoxylin", "dab", "red"), quantity=panel.quantity
    )
    cuts = resolve_thresholds(cells, panel)
    page = text("metrics.md")
    for metric in slide_metrics(classify_cells(cells, panel, cuts), panel, cuts, SlideAreas(1, 1)):
        generic = metric.name
        for marker in panel.marker_names:
            generic = re.sub(f"^{marker}_", "<marker>_", generic)
        row = re.search(rf"^\| `({metric.name}|{generic})` \|.*$", page, re.MULTILINE)
        assert row, f"docs/metrics.md lacks {metric.name}"
        assert metric.unit in row[0]


def test_every_key_of_a_panel_is_documented():
    page = text("panels.md")
    for model in (Panel, Marker, Channel, SizeLimits):
        for key in model.model_fields:
            assert f"`{key}`" in page, f"docs/panels.md lacks {key}"
    for name in panel_names():
        assert f"| `{name}` |" in page


def test_the_panels_of_the_document_load():
    found = re.findall(r"```toml\n(.*?)```", text("panels.md"), re.DOTALL)
    assert [read_panel(toml, "docs").name for toml in found] == ["cd8-dab", "cd8-if"]


def test_every_column_and_flag_is_documented():
    page = text("cell-table.md")
    for column in SCHEMA:
        assert f"`{column}`" in page
    for word in FLAG_WORDS:
        assert f"`{word}`" in page or f"`<marker>_{word}`" in page
