"""How large a pixel is, where that is stated, and whether to believe it."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["PixelSize", "believe", "from_lengths", "from_resolution", "unit_in_um"]

#: A slide's level 0 lies between an oil-immersion camera and a whole-slide overview.
PLAUSIBLE_UM = (0.05, 100.0)

#: Resolution tags of plain pictures mostly state print or screen densities: 300 dpi would be
#: 85 µm, 1200 dpi 21 µm. Only what no printer would write is taken for a microscope's.
PLAUSIBLE_FROM_DENSITY_UM = (0.05, 20.0)

#: Above this ratio of the sides the grid keeps the two sizes apart; below it the geometric
#: mean stands for both, so that a rounded tag does not force a resampling.
ANISOTROPY_LIMIT = 1.01

_UNITS_UM = {
    "pm": 1e-6,
    "å": 1e-4,
    "angstrom": 1e-4,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "nanometre": 1e-3,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "centimetre": 1e4,
    "m": 1e6,
    "meter": 1e6,
    "metre": 1e6,
    "inch": 25400.0,
    "in": 25400.0,
}


@dataclass(frozen=True, slots=True)
class PixelSize:
    """The side lengths of a pixel of level 0, and who says so.

    Parameters
    ----------
    y_um, x_um : float
        Height and width in µm.
    source : str
        "OME-XML", "SVS header", "QPTIFF", "TIFF tags", "ImageJ", "OpenSlide", "OME-Zarr",
        "PNG pHYs", "JFIF" or "user".

    Examples
    --------
    >>> PixelSize(0.5, 0.5, "user").mean_um
    0.5
    """

    y_um: float
    x_um: float
    source: str

    @property
    def mean_um(self) -> float:
        """Geometric mean of the sides in µm: its square is the pixel's area."""
        if self.y_um == self.x_um:
            return self.y_um
        return math.sqrt(self.y_um * self.x_um)

    @property
    def is_anisotropic(self) -> bool:
        """Whether the sides differ by more than 1 %."""
        return max(self.y_um, self.x_um) > ANISOTROPY_LIMIT * min(self.y_um, self.x_um)


def unit_in_um(unit: str | None) -> float | None:
    r"""Return the length of a unit in µm, or None when it is no length.

    Parameters
    ----------
    unit : str or None
        A name or symbol, as OME-XML, OME-Zarr or ImageJ write it.

    Returns
    -------
    float or None

    Examples
    --------
    >>> unit_in_um("nm"), unit_in_um("µm"), unit_in_um("\\u00B5m"), unit_in_um("pixel")
    (0.001, 1.0, 1.0, None)
    """
    if unit is None:
        return None
    # The micro sign, the Greek letter and ImageJ's escape of the first are one unit.
    word = unit.strip().replace("\\u00B5", "µ").lower().replace("µ", "u").replace("μ", "u")
    return _UNITS_UM.get(word)


def from_lengths(
    y: object, x: object, *, y_unit: str | None, x_unit: str | None, source: str
) -> PixelSize | None:
    """Return the pixel size from two lengths in stated units, or None when they are not lengths.

    Parameters
    ----------
    y, x : object
        Numbers, or text of numbers, as found in the metadata.
    y_unit, x_unit : str or None
        Their units.
    source : str
        Who states them.

    Returns
    -------
    PixelSize or None

    Examples
    --------
    >>> from_lengths("250", "250", y_unit="nm", x_unit="nm", source="OME-XML")
    PixelSize(y_um=0.25, x_um=0.25, source='OME-XML')
    """
    y_scale, x_scale = unit_in_um(y_unit), unit_in_um(x_unit)
    y_value, x_value = _number(y), _number(x)
    if y_scale is None or x_scale is None or y_value is None or x_value is None:
        return None
    return PixelSize(y_value * y_scale, x_value * x_scale, source)


def from_resolution(
    y_per_unit: object, x_per_unit: object, unit: str | None, source: str
) -> PixelSize | None:
    """Return the pixel size from densities (pixels per unit), or None when they are none.

    Parameters
    ----------
    y_per_unit, x_per_unit : object
        Numbers, or TIFF rationals ``(numerator, denominator)``.
    unit : str or None
        "inch", "cm", ... ; None or a word that is no length gives None.
    source : str
        Who states them.

    Returns
    -------
    PixelSize or None

    Examples
    --------
    >>> from_resolution((40000, 1), (40000, 1), "cm", "TIFF tags")
    PixelSize(y_um=0.25, x_um=0.25, source='TIFF tags')
    """
    scale = unit_in_um(unit)
    y_value, x_value = _number(y_per_unit), _number(x_per_unit)
    if scale is None or y_value is None or x_value is None:
        return None
    return PixelSize(scale / y_value, scale / x_value, source)


def believe(
    found: PixelSize | None, *, density: bool = False
) -> tuple[PixelSize | None, tuple[str, ...]]:
    """Check a stated pixel size against what a microscope can produce.

    Parameters
    ----------
    found : PixelSize or None
        What the file states.
    density : bool
        Whether it comes from tags that plain pictures use for print densities.

    Returns
    -------
    size : PixelSize or None
        None when absent or implausible.
    notes : tuple of str
        "implausible_pixel_size" or "anisotropic_pixels" when so.

    Examples
    --------
    >>> believe(PixelSize(352.8, 352.8, "TIFF tags"), density=True)
    (None, ('implausible_pixel_size',))
    """
    if found is None:
        return None, ()
    low, high = PLAUSIBLE_FROM_DENSITY_UM if density else PLAUSIBLE_UM
    sides = (found.y_um, found.x_um)
    if not all(math.isfinite(side) and low <= side <= high for side in sides):
        return None, ("implausible_pixel_size",)
    return found, ("anisotropic_pixels",) if found.is_anisotropic else ()


def _number(value: object) -> float | None:
    """Return a positive finite number, or None."""
    try:
        if isinstance(value, tuple | list):
            numerator, denominator = value
            number = float(numerator) / float(denominator)
        elif isinstance(value, str | int | float):
            number = float(value)
        else:
            return None
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0 else None
