"""What was asked for cannot be done: told from what went wrong while doing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from histo.errors import HistoError

if TYPE_CHECKING:
    from histo.panel.thresholds import Request

__all__ = ["UsageError", "check_pixel_size", "parse_thresholds", "usage_problems"]


class UsageError(Exception):
    """The command as given cannot start; the program ends with exit code 2.

    Examples
    --------
    >>> raise UsageError("no panel is called 'foxp4'")
    Traceback (most recent call last):
    ...
    histo.cli.usage.UsageError: no panel is called 'foxp4'
    """


@contextmanager
def usage_problems() -> Iterator[None]:
    """Turn errors about arguments and content into :class:`UsageError`.

    For the part of a command that only looks at what was asked for.

    Examples
    --------
    >>> with usage_problems():
    ...     raise ValueError("a threshold must be above 0.")
    Traceback (most recent call last):
    ...
    histo.cli.usage.UsageError: a threshold must be above 0.
    """
    try:
        yield
    except (HistoError, ValueError) as error:
        raise UsageError(str(error)) from error


def parse_thresholds(options: Sequence[str]) -> dict[str, Request]:
    """Read ``--threshold`` options.

    Parameters
    ----------
    options : sequence of str
        Each as :func:`histo.panel.parse_threshold` takes it.

    Returns
    -------
    dict
        Marker to one or three values, ``"auto"`` or ``"panel"``.

    Raises
    ------
    UsageError
        If an option has another form, or a marker is named twice.

    Examples
    --------
    >>> parse_thresholds(["foxp3=0.15", "RANKL = 0.2,0.4,0.6"])
    {'foxp3': 0.15, 'rankl': (0.2, 0.4, 0.6)}
    """
    from histo.panel import parse_threshold

    thresholds: dict[str, Request] = {}
    for option in options:
        with usage_problems():
            marker, request = parse_threshold(option)
        if marker in thresholds:
            raise UsageError(f"--threshold names {marker} twice; give it once.")
        thresholds[marker] = request
    return thresholds


def check_pixel_size(value: float | None, option: str = "--pixel-size") -> None:
    """Refuse a pixel size that no microscope has.

    Parameters
    ----------
    value : float or None
        µm per pixel, as typed.
    option : str
        Which option it was typed for.

    Raises
    ------
    UsageError
        If it is not between 0.05 and 100 µm.

    Examples
    --------
    >>> check_pixel_size(0.5)
    >>> check_pixel_size(500)
    Traceback (most recent call last):
    ...
    histo.cli.usage.UsageError: --pixel-size 500 cannot be: it is in micrometres per pixel, ...
    """
    from histo.slide.pixel_size import PLAUSIBLE_UM

    low, high = PLAUSIBLE_UM
    if value is not None and not low <= value <= high:
        raise UsageError(
            f"{option} {value:g} cannot be: it is in micrometres per pixel, "
            f"{low:g} to {high:g} (about 0.25 at 40x, 0.5 at 20x)."
        )
