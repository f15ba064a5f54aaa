"""What a panel says: which stains, which markers, which cut-offs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from histo.cells import measure_column
from histo.errors import PanelError
from histo.panel.channels import match_channels

__all__ = ["FLAG_WORDS", "Attribution", "Channel", "Marker", "Panel", "SizeLimits"]

FlagWord = Literal[
    "small_nucleus",
    "large_nucleus",
    "oversized_nucleus",
    "elongated",
    "pigment",
    "contact",
    "cytoplasmic_signal",
]
FLAG_WORDS: tuple[str, ...] = FlagWord.__args__  # type: ignore[attr-defined]
"""The doubts that a panel may let remove a call (``rejects``)."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SizeLimits(_Frozen):
    """How large and how round the nucleus of a positive cell is.

    Attributes
    ----------
    min_diameter_um : float
        Below, ``small_nucleus``. Equivalent diameter, µm.
    usual_diameter_um : float
        Above, ``large_nucleus``; so is a nucleus above ``usual_area_um2``.
    max_diameter_um : float
        Above, ``oversized_nucleus``.
    usual_area_um2 : float
        See ``usual_diameter_um``; µm².
    max_eccentricity : float
        Above, ``elongated``.

    Examples
    --------
    >>> SizeLimits().max_diameter_um
    12.0
    """

    min_diameter_um: Positive = 5.0
    usual_diameter_um: Positive = 10.0
    max_diameter_um: Positive = 12.0
    usual_area_um2: Positive = 80.0
    max_eccentricity: Annotated[float, Field(gt=0, le=1)] = 0.95

    @model_validator(mode="after")
    def _ascending(self) -> SizeLimits:
        if not self.min_diameter_um < self.usual_diameter_um <= self.max_diameter_um:
            raise ValueError(
                "min_diameter_um < usual_diameter_um <= max_diameter_um must hold, got "
                f"{self.min_diameter_um}, {self.usual_diameter_um}, {self.max_diameter_um}"
            )
        return self


class Marker(_Frozen):
    """One marker: where its signal is looked for, and from when on it counts.

    Attributes
    ----------
    name : str
        Lower case; begins the names of its columns and metrics.
    plane : str
        The stain (brightfield) or channel (fluorescence) that shows it.
    compartment : {"nucleus", "cytoplasm", "cell"}
    statistic : {"mean", "max"}
    thresholds : tuple of 3 float, or None
        1+, 2+ and 3+ begin here: OD (base 10), or the slide's intensity units. None: there
        is no such number for all slides (fluorescence).
    threshold_source : {"panel", "auto", "learned"}
        What holds when the user asks for nothing. ``learned``: the model says which nuclei are
        DAB-positive, and the thresholds how strongly.
    auto_limits : tuple of 2 float, or None
        An automatic threshold outside of these is not believed; same unit.
    auto_spreads : float
        How many spreads of the negative cells above their mode the threshold lies.
    grade_ratios : tuple of 3 float
        1+ : 2+ : 3+ where ``thresholds`` is None.
    positive_pixel : float, or None
        A pixel counts as positive area from here on; None: from 1+ on.
    size : SizeLimits, or None
        None: cells of every size count.
    rejects : tuple of str
        Flags that remove a call; the others only inform.

    Examples
    --------
    >>> Marker(name="cd8", plane="dab", compartment="cell", thresholds=(0.25, 0.5, 1)).ratios
    (1.0, 2.0, 4.0)
    """

    name: str
    plane: str
    compartment: Literal["nucleus", "cytoplasm", "cell"]
    statistic: Literal["mean", "max"] = "mean"
    thresholds: tuple[Positive, Positive, Positive] | None = None
    threshold_source: Literal["panel", "auto", "learned"] = "panel"
    auto_limits: tuple[Positive, Positive] | None = None
    auto_spreads: Positive = 5.0
    grade_ratios: tuple[Positive, Positive, Positive] = (1.0, 2.0, 4.0)
    positive_pixel: Positive | None = None
    size: SizeLimits | None = None
    rejects: tuple[FlagWord, ...] = ()

    @field_validator("name", "plane")
    @classmethod
    def _is_name(cls, value: str) -> str:
        return _checked_name(value)

    @field_validator("thresholds", "auto_limits", "grade_ratios")
    @classmethod
    def _ascending(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and any(a >= b for a, b in itertools.pairwise(value)):
            raise ValueError("the numbers must ascend")
        return value

    @model_validator(mode="after")
    def _has_a_threshold(self) -> Marker:
        if self.thresholds is None and self.threshold_source == "panel":
            raise ValueError('thresholds must be given unless threshold_source is "auto"')
        return self

    @property
    def ratios(self) -> tuple[float, float, float]:
        """1+ : 2+ : 3+, the first being 1."""
        base = self.thresholds or self.grade_ratios
        return 1.0, base[1] / base[0], base[2] / base[0]


class Channel(_Frozen):
    """One fluorescence channel, and what slides call it.

    Attributes
    ----------
    name : str
        Lower case; stands in the names of columns.
    aliases : tuple of str
        Other names in slides; upper and lower case and punctuation do not matter, and the
        name may be part of a longer one (``FoxP3 (Opal 570)``).
    index : int, or None
        Position in the slide, from 0, when names are of no use.

    Examples
    --------
    >>> Channel(name="dapi", aliases=("Hoechst",)).index is None
    True
    """

    name: str
    aliases: tuple[str, ...] = ()
    index: Annotated[int, Field(ge=0)] | None = None

    @field_validator("name")
    @classmethod
    def _is_name(cls, value: str) -> str:
        return _checked_name(value)


class Attribution(_Frozen):
    """The question of which cells a signal comes from.

    Attributes
    ----------
    source : str
        Marker of the cells that may be the source, e.g. ``foxp3``.
    signal : str
        Marker of the signal, e.g. ``rankl``.

    Examples
    --------
    >>> Attribution(source="foxp3", signal="rankl").signal
    'rankl'
    """

    source: str
    signal: str


class Panel(_Frozen):
    """What a slide was stained for, and how its cells are called.

    Attributes
    ----------
    name, title, description : str
    kind : {"brightfield", "channels"}
    stains : str, or None
        Stain matrix by name or path (brightfield only).
    channels : tuple of Channel
        Fluorescence only.
    nuclear_channel : str, or None
        The channel that shows the nuclei (fluorescence only).
    model : str
        The network that finds nuclei.
    cell_expansion_um : float
        How far a cell reaches beyond its nucleus, µm.
    contact_limit : float
        A cell that touches others along more of its border than this has the flag
        ``contact``: its cytoplasmic signal cannot be attributed.
    pigment_residual_od : float
        A nucleus whose mean residual is beyond this, either way, has the flag ``pigment``.
    markers : tuple of Marker
    attribution : tuple of Attribution
    regions : {"lung"}, or None
        What is looked for beside cells: metastatic foci in a lung (brightfield only).

    Examples
    --------
    >>> from histo.panel import load_panel
    >>> panel = load_panel("foxp3-dab")
    >>> panel.measurement(panel.marker("foxp3"))
    'nucleus_dab_od_mean'
    """

    name: str
    title: str
    description: str = ""
    kind: Literal["brightfield", "channels"]
    stains: str | None = None
    channels: tuple[Channel, ...] = ()
    nuclear_channel: str | None = None
    model: str = "nuclei-brightfield"
    cell_expansion_um: Annotated[float, Field(ge=0, le=50)] = 5.0
    contact_limit: Annotated[float, Field(ge=0, le=1)] = 0.5
    pigment_residual_od: Positive = 0.15
    markers: tuple[Marker, ...] = ()
    attribution: tuple[Attribution, ...] = ()
    regions: Literal["lung"] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Panel:
        for what, names in (
            ("markers", [m.name for m in self.markers]),
            ("channels", [c.name for c in self.channels]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"two {what} have the same name ({', '.join(names)})")
        if self.kind == "brightfield":
            self._check_brightfield()
        else:
            self._check_channels()
        known = {m.name for m in self.markers}
        for pair in self.attribution:
            for name in (pair.source, pair.signal):
                if name not in known:
                    raise ValueError(
                        f'attribution names the marker "{name}", but the markers are '
                        f"{', '.join(sorted(known)) or 'none'}"
                    )
        return self

    def _check_brightfield(self) -> None:
        if self.stains is None:
            raise ValueError('a brightfield panel needs stains, e.g. stains = "h-dab"')
        if self.channels or self.nuclear_channel:
            raise ValueError('channels and nuclear_channel are for kind = "channels"')
        for marker in self.markers:
            if marker.thresholds is None:
                raise ValueError(f'marker "{marker.name}" needs thresholds (OD of 1+, 2+, 3+)')
            if marker.threshold_source == "learned":
                self.check_learned(marker)

    def _check_channels(self) -> None:
        if self.stains is not None or self.regions is not None:
            raise ValueError('stains and regions are for kind = "brightfield"')
        names = [c.name for c in self.channels]
        if self.nuclear_channel not in names:
            raise ValueError(
                f"nuclear_channel must name one of the channels ({', '.join(names) or 'none'})"
            )
        for marker in self.markers:
            if marker.plane not in names:
                raise ValueError(
                    f'marker "{marker.name}" is in plane "{marker.plane}", but the channels are '
                    f"{', '.join(names)}"
                )

    @property
    def quantity(self) -> str:
        """``od`` (brightfield) or ``intensity`` (channels)."""
        return "od" if self.kind == "brightfield" else "intensity"

    @property
    def channel_names(self) -> tuple[str, ...]:
        """The panel's channels, in the order of :meth:`resolve_channels`."""
        return tuple(channel.name for channel in self.channels)

    @property
    def marker_names(self) -> tuple[str, ...]:
        """The panel's markers."""
        return tuple(marker.name for marker in self.markers)

    def marker(self, name: str) -> Marker:
        """Return the marker of this name.

        Raises
        ------
        PanelError
            If the panel has none.
        """
        for marker in self.markers:
            if marker.name == name:
                return marker
        raise PanelError(
            f'Panel {self.name} has no marker "{name}"; it has '
            f"{', '.join(self.marker_names) or 'none'}."
        )

    def measurement(self, marker: Marker) -> str:
        """Return the cell table's column that the marker's calls are made on."""
        return measure_column(marker.compartment, marker.plane, self.quantity, marker.statistic)

    def check_planes(self, names: Sequence[str]) -> None:
        """Check that the stains at hand show every marker.

        Raises
        ------
        PanelError
            If a marker's plane is not among ``names``.
        """
        for marker in self.markers:
            if marker.plane not in names:
                raise PanelError(
                    f'Panel {self.name}: marker "{marker.name}" is looked for in "{marker.plane}", '
                    f"but the stains are {', '.join(names)}; name one of these as its plane."
                )

    def check_learned(self, marker: Marker) -> None:
        """Check that the model can call a marker: a nuclear one in brown.

        Raises
        ------
        PanelError
            If it cannot.
        """
        if self.kind != "brightfield" or marker.compartment != "nucleus" or marker.plane != "dab":
            raise PanelError(
                f"Panel {self.name}: the model has learned to call nuclei in brown (dab), but "
                f"{marker.name} is looked for in {marker.compartment}, {marker.plane}; give "
                "thresholds instead."
            )

    def check_slide(
        self, name: str, kind: str, *, channel_names: Sequence[str], dtype: str
    ) -> None:
        """Check that a slide is of the kind that the panel is for, and has its channels.

        Parameters
        ----------
        name : str
            The slide's file, for the message.
        kind : {"brightfield", "channels"}
            Of the slide, like its channel names and the type of its pixels.
        channel_names : sequence of str
        dtype : str

        Raises
        ------
        PanelError
            If the slide is of the other kind, or a channel is not there.

        Examples
        --------
        >>> from histo.panel import load_panel
        >>> load_panel("he").check_slide(
        ...     "if.tif", "channels", channel_names=["dapi"], dtype="uint16"
        ... )
        Traceback (most recent call last):
        ...
        histo.errors.PanelError: if.tif: the panel he needs a bright-field RGB slide, but this one
        holds 1 channel(s) of uint16 (dapi); choose a fluorescence panel (histo panels lists them).
        """
        if self.kind == "channels" and kind != "channels":
            raise PanelError(
                f"{name}: the panel {self.name} needs fluorescence channels "
                f"({', '.join(self.channel_names)}), but this is an RGB picture; export the "
                "channels as OME-TIFF, or choose a bright-field panel (histo panels lists them)."
            )
        if self.kind != kind:
            raise PanelError(
                f"{name}: the panel {self.name} needs a bright-field RGB slide, but this one "
                f"holds {len(channel_names)} channel(s) of {dtype} "
                f"({', '.join(channel_names[:6])}); choose a fluorescence panel (histo panels "
                "lists them)."
            )
        if kind == "channels":
            self.resolve_channels(channel_names)

    def resolve_channels(self, slide_channel_names: Sequence[str]) -> tuple[int, ...]:
        """Find the panel's channels in a slide.

        Parameters
        ----------
        slide_channel_names : sequence of str

        Returns
        -------
        tuple of int
            Positions in the slide, in the order of :attr:`channel_names`.

        Raises
        ------
        PanelError
            If a channel is not there, or more than one could be meant.
        """
        return match_channels(self.name, self.channels, tuple(slide_channel_names))


def _checked_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("a name is lower-case letters, digits and single underscores")
    return value
