"""What a run was asked to do, and the fingerprint by which it is recognised."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import histo
from histo.errors import PanelError
from histo.nuclei import read_card
from histo.panel import Panel, load_panel
from histo.panel.thresholds import Request
from histo.pipeline.drawn_region import Polygons, check_polygons
from histo.pipeline.region_source import regions_record

__all__ = ["Settings", "fingerprint", "fingerprint_of"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What to do with a slide.

    Parameters
    ----------
    panel : str
        A built-in panel's name, or the path of a panel file.
    pixel_size_um : float, optional
        Overrides the pixel size that the slide states, µm/px.
    thresholds : mapping of str to request, optional
        Marker to cut-offs, see `histo.panel.parse_threshold`.
    model : str, optional
        Instead of the panel's: a built-in model's name, or the path of a model folder.
    stains : str, optional
        Instead of the panel's: a name, the path of a TOML file, or ``"estimate"``.
    region : sequence of float (N, 2), optional
        Polygons (y, x in µm from the top left corner of level 0): only cells whose centroid lies
        in one of them, and only tissue within, are analysed. Kept as nested tuples.
    regions : str, optional
        What divides the tissue into compartments: a built-in region model's name, the path of a
        model folder, or the path of a GeoJSON file with annotations of this slide. For a batch
        also a folder of such files.

    Raises
    ------
    ValueError
        If the region holds no polygon, or one without area.

    Examples
    --------
    >>> Settings(panel="foxp3-dab", thresholds={"foxp3": 0.2}).load_panel().name
    'foxp3-dab'
    """

    panel: str
    pixel_size_um: float | None = None
    thresholds: Mapping[str, Request] = field(default_factory=dict)
    model: str | None = None
    stains: str | None = None
    region: Polygons | None = None
    regions: str | None = None

    def __post_init__(self) -> None:
        if self.region is not None:
            object.__setattr__(self, "region", check_polygons(self.region))

    def load_panel(self) -> Panel:
        """Read the panel.

        Raises
        ------
        PanelError
            If there is no such panel, its file is wrong, or it finds its own regions and others
            are asked for.
        """
        panel = load_panel(self.panel)
        if panel.regions is not None and self.regions is not None:
            raise PanelError(
                f"The panel {panel.name} finds its own regions; leave --regions out, or take "
                "another panel."
            )
        return panel

    def record(self) -> dict[str, Any]:
        """Return everything that the numbers depend on, as JSON takes it."""
        panel = self.load_panel()
        card = read_card(self.model or panel.model)
        record: dict[str, Any] = {
            "panel": panel.name,
            "panel_content": panel.model_dump(mode="json"),
            "pixel_size_um": self.pixel_size_um,
            "thresholds": {name: request for name, request in sorted(self.thresholds.items())},
            "model": card.name,
            "model_sha256": card.sha256,
            "model_parameters": {
                "threshold": card.threshold,
                "saddle": card.saddle,
                "min_area_um2": card.min_area_um2,
            },
            "stains": Path(self.stains or panel.stains or "").name or None,
            "stains_content": _content_of(self.stains or panel.stains),
        }
        if self.region is not None:
            record["region_um"] = [[list(corner) for corner in one] for one in self.region]
        if self.regions is not None:
            record["regions"] = dict(regions_record(self.regions))
        return record


def _content_of(stains: str | None) -> str | None:
    """Hash the user's own stain file: its name alone does not say what is in it."""
    if stains is None or stains == "estimate":
        return None
    from histo.stain import load_stains

    return hashlib.sha256(load_stains(stains).vectors.tobytes()).hexdigest()


def fingerprint(settings: Settings, input_sha256: str) -> str:
    """Return a hash of input, settings, model and version: equal means nothing to redo.

    Parameters
    ----------
    settings : Settings
    input_sha256 : str
        Of the slide, see `histo.results.sha256_file`.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> a = fingerprint(Settings("foxp3-dab"), "0" * 64)
    >>> a == fingerprint(Settings("foxp3-dab", thresholds={"foxp3": 0.2}), "0" * 64)
    False
    """
    return fingerprint_of(settings.record(), input_sha256)


def fingerprint_of(record: Mapping[str, Any], input_sha256: str) -> str:
    """Return the fingerprint of settings as `Settings.record` gave them."""
    content = {"input": input_sha256, "histo": histo.__version__, "settings": record}
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
