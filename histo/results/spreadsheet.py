"""Tables that a person or a spreadsheet wrote: text by column, whatever separates the columns."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

import numpy as np
import pandas as pd

from histo.errors import AnnotationError

__all__ = ["plain_name", "read_spreadsheet"]


def read_spreadsheet(path: str | Path) -> tuple[pd.DataFrame, str]:
    r"""Read a table as text: CSV, or the same with semicolons or tabs.

    What separates columns is what the first line has most of. UTF-8 with or without a byte order
    mark, and UTF-16 with one (Excel's "Unicode text"). Rows without any content are left out.

    Parameters
    ----------
    path : path

    Returns
    -------
    table : DataFrame of str
        Its index is the number of each row's line in the file; empty cells are ``""``.
    decimal : str
        The decimal mark, ``","`` or ``"."``: spreadsheets that separate by semicolons or tabs
        may write decimal commas.

    Raises
    ------
    AnnotationError
        If it is no table, or a row has more cells than there are columns.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "design.csv"
    >>> _ = path.write_text("slide;distance_um\ns1;250,5\n;\ns2;250,5\n", encoding="utf-8-sig")
    >>> table, decimal = read_spreadsheet(path)
    >>> table["slide"].to_dict(), decimal
    ({2: 's1', 4: 's2'}, ',')
    """
    path = Path(path)
    try:
        encoding = _encoding(path)
        with path.open(encoding=encoding) as stream:
            head = stream.readline()
        separator = max(",;\t", key=head.count)
        table = pd.read_csv(
            path,
            sep=separator,
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,
            encoding=encoding,
        )
    except (OSError, UnicodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        detail = str(error).strip().splitlines()[0][:120]
        raise AnnotationError(
            f"{path.name}: cannot be read as a table ({detail}); save it as CSV in UTF-8."
        ) from error
    # Without a header for them, pandas takes the first cells for the names of the rows.
    if len(table) and not isinstance(table.index, pd.RangeIndex):
        raise AnnotationError(
            f"{path.name}: cannot be read as a table (its rows have more cells than its first "
            "line has columns); give every column a name."
        )
    table = table.fillna("").set_axis(np.arange(2, len(table) + 2), axis=0)
    return table[(table != "").any(axis=1)], "." if separator == "," else ","


def plain_name(name: str) -> str:
    """Bring "Centroid X µm", "x (µm)" and "X_um" to one form.

    Examples
    --------
    >>> plain_name("Distance (µm)")
    'distance_um'
    """
    return re.sub(r"[^a-z0-9]+", "_", name.casefold().replace("μ", "u").replace("µ", "u")).strip(
        "_"
    )


def _encoding(path: Path) -> str:
    with path.open("rb") as stream:
        start = stream.read(2)
    return "utf-16" if start in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE} else "utf-8-sig"
