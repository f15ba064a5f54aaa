"""What was asked for cannot be done: told from what went wrong while doing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

from histo.errors import HistoError

__all__ = ["UsageError", "parse_thresholds", "usage_problems"]


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


def parse_thresholds(options: Sequence[str]) -> Mapping[str, tuple[float, ...] | str]:
    """Read ``marker=value`` options.

    Parameters
    ----------
    options : sequence of str
        ``"foxp3=0.15"`` (one cut-off), ``"rankl=0.2,0.4,0.6"`` (1+, 2+ and 3+), or
        ``"foxp3=auto"``. Units are those of the panel: OD, or intensity.

    Returns
    -------
    dict
        Marker to one or three ascending values, or to ``"auto"``.

    Raises
    ------
    UsageError
        If an option is not of this form, or a marker is named twice.

    Examples
    --------
    >>> parse_thresholds(["foxp3=0.15", "RANKL = 0.2,0.4,0.6"])
    {'foxp3': (0.15,), 'rankl': (0.2, 0.4, 0.6)}
    """
    thresholds: dict[str, tuple[float, ...] | str] = {}
    for option in options:
        marker, equals, text = (part.strip().lower() for part in option.partition("="))
        if not (marker and equals and text):
            raise UsageError(_form(option))
        if marker in thresholds:
            raise UsageError(f"--threshold: {marker} is given twice; give it once.")
        thresholds[marker] = "auto" if text == "auto" else _values(option, text)
    return thresholds


def _values(option: str, text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(_form(option)) from None
    ascending = all(low < high for low, high in pairwise(values))
    if len(values) not in {1, 3} or not ascending or not 0 < values[0] <= values[-1] < float("inf"):
        raise UsageError(_form(option))
    return values


def _form(option: str) -> str:
    return (
        f"--threshold {option!r} is not of the form MARKER=VALUE: give one value above 0 "
        "(foxp3=0.15), three ascending ones for 1+, 2+ and 3+ (rankl=0.2,0.4,0.6), "
        "or foxp3=auto."
    )
