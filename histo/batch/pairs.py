"""Which predictions belong to which truth: by the name of the slide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from histo.batch.find import SLIDE_SUFFIXES, is_result_folder, natural_key
from histo.batch.names import RESERVED_NAMES
from histo.errors import AnnotationError

__all__ = ["ImagePair", "Pairing", "pair_files"]

_CELL_SUFFIXES = (".geojson", ".json", ".csv", ".tsv", ".tif", ".tiff", ".png")
_REGION_SUFFIXES = (".geojson", ".json", ".tif", ".tiff", ".png")
#: What people and programs put behind a slide's name to say what is in a file.
_ENDINGS = ("truth", "labels", "label", "mask", "masks", "points", "cells", "roi", "region")


@dataclass(frozen=True, slots=True)
class ImagePair:
    """The files of one image.

    Parameters
    ----------
    name : str
    predictions, truth : Path
    region : Path, optional
        Where scoring happens; everywhere when None.

    Examples
    --------
    >>> ImagePair("s1", Path("results/s1"), Path("truth/s1.geojson")).region is None
    True
    """

    name: str
    predictions: Path
    truth: Path
    region: Path | None = None


@dataclass(frozen=True, slots=True)
class Pairing:
    """What was paired, and what had no partner.

    Parameters
    ----------
    pairs : tuple of ImagePair
    lonely_predictions, lonely_truth : tuple of str
        Names of files or folders without a partner on the other side.

    Examples
    --------
    >>> pair = ImagePair("s1", Path("results/s1"), Path("truth/s1.geojson"))
    >>> len(Pairing((pair,), lonely_truth=("s2.geojson",)).pairs)
    1
    """

    pairs: tuple[ImagePair, ...]
    lonely_predictions: tuple[str, ...] = ()
    lonely_truth: tuple[str, ...] = ()


def pair_files(predictions: Path, truth: Path, region: Path | None = None) -> Pairing:
    """Pair predictions with truth: two files, or the files of two folders by their slide's name.

    The slide's name is the file's without suffixes, and without a last word that only says what
    is in it (``_labels``, ``.truth``, ``_points``...); that of a result folder is the folder's.

    Parameters
    ----------
    predictions, truth : Path
        Each a file or the result folder of one slide, or each a folder of such.
    region : Path, optional
        A file, for all images; or a folder with one file for each.

    Returns
    -------
    Pairing

    Raises
    ------
    AnnotationError
        If something is missing, one side is a folder of files and the other is not, two files
        have the name of one slide, or nothing has a partner.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> for name in ("a/s1.geojson", "a/s2.geojson", "b/s1_labels.tif"):
    ...     (place / name).parent.mkdir(exist_ok=True)
    ...     (place / name).touch()
    >>> pairing = pair_files(place / "a", place / "b")
    >>> [pair.name for pair in pairing.pairs], pairing.lonely_predictions
    (['s1'], ('s2.geojson',))
    """
    for path in (predictions, truth, *([] if region is None else [region])):
        if not path.exists():
            raise AnnotationError(f"{path}: no such file or folder; check the path.")
    many = [path.is_dir() and not is_result_folder(path) for path in (predictions, truth)]
    if not any(many):
        return Pairing((ImagePair(_slide_of(predictions), predictions, truth, _one(region)),))
    if not all(many):
        one, folder = (truth, predictions) if many[0] else (predictions, truth)
        raise AnnotationError(
            f"{folder} is a folder of files and {one} is not; give two files, or two folders."
        )
    found, true = _by_slide(predictions), _by_slide(truth)
    names = sorted(found.keys() & true.keys(), key=natural_key)
    if not names:
        raise AnnotationError(
            f"nothing in {predictions} has a partner of its name in {truth}: "
            f"{_listed(found.values())} against {_listed(true.values())}; name them alike."
        )
    regions = _regions(region, names)
    return Pairing(
        tuple(ImagePair(name, found[name], true[name], regions.get(name)) for name in names),
        tuple(found[name].name for name in sorted(found.keys() - true.keys(), key=natural_key)),
        tuple(true[name].name for name in sorted(true.keys() - found.keys(), key=natural_key)),
    )


def _one(region: Path | None) -> Path | None:
    if region is not None and region.is_dir():
        raise AnnotationError(f"{region}: is a folder; give the region of this image as a file.")
    return region


def _regions(region: Path | None, names: list[str]) -> dict[str, Path]:
    """Return the region of each image; a folder must hold one for every image."""
    if region is None or region.is_file():
        return {} if region is None else dict.fromkeys(names, region)
    regions = _by_slide(region, _REGION_SUFFIXES)
    missing = [name for name in names if name not in regions]
    if missing:
        raise AnnotationError(f"{region}: holds no region for {_listed(map(Path, missing))}.")
    return regions


def _by_slide(folder: Path, suffixes: tuple[str, ...] = _CELL_SUFFIXES) -> dict[str, Path]:
    """Return the files and result folders of a folder by the name of their slide."""
    slides: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: natural_key(path.name)):
        plain = path.name.removesuffix(".gz").lower()
        fits = is_result_folder(path) if path.is_dir() else plain.endswith(suffixes)
        if path.name.startswith(".") or path.name in RESERVED_NAMES or not fits:
            continue
        name = _slide_of(path)
        if name in slides:
            raise AnnotationError(
                f"{folder}: {slides[name].name} and {path.name} are both of {name}; keep one."
            )
        slides[name] = path
    return slides


def _slide_of(path: Path) -> str:
    """Return the name of the slide that a file or result folder is about."""
    if path.is_dir():
        return path.name
    name = path.name
    endings = ("gz", "ome", *(suffix[1:] for suffix in (*_CELL_SUFFIXES, *SLIDE_SUFFIXES)))
    while "." in name and name.rpartition(".")[2].lower() in (*endings, *_ENDINGS):
        name = name.rpartition(".")[0]
    head, _, last = name.replace("-", "_").rpartition("_")
    return name[: len(head)] if head and last.lower() in _ENDINGS else name


def _listed(paths: Iterable[Path], most: int = 5) -> str:
    names = [path.name for path in paths]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "no file"
