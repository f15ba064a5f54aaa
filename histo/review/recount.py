"""A blind recount: what a reader has counted in random fields, kept on disk at every step."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from histo.errors import ResultError
from histo.results.folder import replace_file
from histo.review.count_fields import CountField, RecountPlan, Stratum

__all__ = ["Recount", "find_recounts"]

FORMAT, VERSION = "histo recount", 1

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Recount:
    """One reader's recount of one slide; every change is written at once.

    Parameters
    ----------
    path : Path
        The file, ``recount-<reader>-<time>.json`` in the result folder.
    slide, reader, started : str
    plan : RecountPlan
    both_classes : bool
        Whether negative cells are marked, too.
    clicks : list of float64 (K, 2)
        For each field the marked cells (y, x), µm.
    positive : list of bool (K,)
        Which of them are positive.
    done : list of bool
        Which fields are finished.

    Examples
    --------
    >>> import tempfile
    >>> one, all_of_them = CountField(0, 0, 100, 0), Stratum("all", 8, 0, 9)
    >>> plan = RecountPlan("foxp3", 100.0, 1, (one,), (all_of_them,))
    >>> recount = Recount.begin(tempfile.mkdtemp(), plan, reader="Ann B.", slide="s1")
    >>> recount.mark(0, np.array([[10.0, 20.0]]))
    >>> Recount.load(recount.path).clicks[0].tolist(), recount.path.name[:13]
    ([[10.0, 20.0]], 'recount-ann-b')
    """

    path: Path
    slide: str
    reader: str
    started: str
    plan: RecountPlan
    both_classes: bool = False
    clicks: list[Floats] = field(default_factory=list)
    positive: list[Bools] = field(default_factory=list)
    done: list[bool] = field(default_factory=list)

    @classmethod
    def begin(
        cls,
        folder: str | Path,
        plan: RecountPlan,
        *,
        reader: str,
        slide: str,
        both_classes: bool = False,
    ) -> Recount:
        """Begin a recount, and write its file.

        Raises
        ------
        ResultError
            If it cannot be written.
        """
        now = datetime.now(UTC)
        word = re.sub(r"[^a-z0-9]+", "-", reader.casefold()).strip("-") or "reader"
        stem = f"recount-{word}-{now:%Y%m%dT%H%M%S}"
        path, again = Path(folder) / f"{stem}.json", 2
        while path.exists():
            path, again = path.with_name(f"{stem}-{again}.json"), again + 1
        number = len(plan.fields)
        one = cls(
            path,
            slide,
            reader,
            f"{now:%Y-%m-%dT%H:%M:%SZ}",
            plan,
            both_classes,
            [np.zeros((0, 2)) for _ in range(number)],
            [np.zeros(0, bool) for _ in range(number)],
            [False] * number,
        )
        one.save()
        return one

    @classmethod
    def load(cls, path: str | Path) -> Recount:
        """Read a recount, finished or not.

        Raises
        ------
        ResultError
            If it is no such file, or damaged.
        """
        path = Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT or content["version"] != VERSION:
                raise ValueError(f"format {content['format']} {content['version']}")
            return cls._from_json(path, content)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResultError(
                f"{path.name}: cannot be read as a recount ({error}); begin another one."
            ) from error

    @classmethod
    def _from_json(cls, path: Path, content: Mapping[str, Any]) -> Recount:
        fields = content["fields"]
        plan = RecountPlan(
            str(content["marker"]),
            float(content["side_um"]),
            int(content["seed"]),
            tuple(
                CountField(
                    float(one["y_um"]),
                    float(one["x_um"]),
                    float(content["side_um"]),
                    int(one["stratum"]),
                )
                for one in fields
            ),
            tuple(Stratum(**one) for one in content["strata"]),
        )
        return cls(
            path,
            str(content["slide"]),
            str(content["reader"]),
            str(content["started"]),
            plan,
            bool(content["both_classes"]),
            [np.array(one["clicks_um"], np.float64).reshape(-1, 2) for one in fields],
            [np.array(one["positive"], bool) for one in fields],
            [bool(one["done"]) for one in fields],
        )

    @property
    def is_complete(self) -> bool:
        """Whether every field is finished."""
        return all(self.done)

    @property
    def next_field(self) -> int:
        """The first field that is not finished; the last one when all are."""
        return self.done.index(False) if False in self.done else len(self.done) - 1

    def mark(
        self, index: int, clicks_um: Floats, positive: Bools | None = None, *, done: bool = True
    ) -> None:
        """Take over what was marked in a field, and write it.

        Parameters
        ----------
        index : int
            Of the field in the plan.
        clicks_um : float64 (K, 2)
            Cells (y, x); those outside of the field do not count and are refused.
        positive : bool (K,), optional
            By default all are.
        done : bool
            Whether the field is finished.

        Raises
        ------
        ValueError
            If the lengths differ, or a cell lies outside of the field.
        ResultError
            If it cannot be written.
        """
        clicks = np.array(clicks_um, np.float64).reshape(-1, 2)
        called = np.ones(len(clicks), bool) if positive is None else np.array(positive, bool)
        if len(called) != len(clicks):
            raise ValueError(f"{len(clicks)} cells, but {len(called)} calls.")
        if not self.plan.fields[index].contains(clicks).all():
            raise ValueError(f"a cell lies outside of field {index + 1}.")
        self.clicks[index], self.positive[index], self.done[index] = clicks, called, done
        self.save()

    def save(self) -> None:
        """Write the file, in one step."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "slide": self.slide,
            "reader": self.reader,
            "started": self.started,
            "marker": self.plan.marker,
            "side_um": self.plan.side_um,
            "seed": self.plan.seed,
            "both_classes": self.both_classes,
            "strata": [asdict(one) for one in self.plan.strata],
            "fields": [
                {
                    "y_um": one.y_um,
                    "x_um": one.x_um,
                    "stratum": one.stratum,
                    "done": done,
                    "clicks_um": clicks.tolist(),
                    "positive": positive.tolist(),
                }
                for one, clicks, positive, done in zip(
                    self.plan.fields, self.clicks, self.positive, self.done, strict=True
                )
            ],
        }
        with replace_file(self.path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def find_recounts(folder: str | Path) -> list[Recount]:
    """Return the recounts of a result folder, newest first; files that are none are passed over.

    Examples
    --------
    >>> find_recounts("/nowhere")
    []
    """
    found = []
    for path in Path(folder).glob("recount-*.json"):
        try:
            found.append(Recount.load(path))
        except ResultError:
            continue
    return sorted(found, key=lambda one: one.started, reverse=True)
