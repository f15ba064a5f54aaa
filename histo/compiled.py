"""Loops over pixels as machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

__all__ = ["compiled"]

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """Compile a function of arrays and numbers on its first call; a decorator.

    The function runs without Python's lock, so that several threads compute at once, and its
    machine code is kept on disk for the next run: beside the module, or in the user's cache
    folder where that cannot be written to. What it calls must be compiled too, and stand in
    the same file: a change of another file would not be noticed.

    Parameters
    ----------
    function : callable
        Of numpy arrays, numbers and tuples of them. Indices are not checked, and division by
        zero gives infinity or NaN.

    Returns
    -------
    callable

    References
    ----------
    Lam, Pitrou, Seibert (2015), Numba: a LLVM-based Python JIT compiler, LLVM-HPC '15.

    Examples
    --------
    >>> @compiled
    ... def double(number):
    ...     return 2 * number
    >>> double(21)
    42
    """
    try:
        return cast(_Function, njit(cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError:
        # There is no folder to write to: every run compiles anew.
        return cast(_Function, njit(nogil=True, error_model="numpy")(function))
