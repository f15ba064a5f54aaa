"""Stain vectors: what they are, where they come from, whether they can be told apart."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from histo.errors import StainError

__all__ = ["MAX_CONDITION", "StainMatrix", "load_stains", "save_stains", "stain_names"]

MAX_CONDITION = 10.0
"""Above this condition number, noise of the picture decides how stains are told apart."""

_FOLDER = Path(__file__).parent / "matrices"
_TOP_KEYS = {"name", "description", "stains"}
_STAIN_KEYS = {"vector", "source", "estimate"}


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class StainMatrix:
    """The optical density vectors of one to three stains.

    Parameters
    ----------
    name : str
        What the set is called, for messages and the record of a run.
    stains : tuple of str
        S names, lower case, in the order of the rows.
    vectors : float (S, 3)
        Optical density in red, green and blue; scaled to unit length here. Held as a
        read-only float64 copy.
    provisional : tuple of str
        Stains whose vector is a starting point only and must be estimated.
    flags : tuple of str
        Doubts that came up when the vectors were estimated; see `histo.stain.explain`.

    Raises
    ------
    ValueError
        When names and vectors do not match in number, or names repeat.
    StainError
        When a vector is empty or not finite, or the stains cannot be told apart: their
        condition number, with the residual added for two stains, exceeds 10.

    Examples
    --------
    >>> blue_brown = StainMatrix("mine", ("hematoxylin", "dab"), [[65, 70, 29], [27, 57, 78]])
    >>> round(blue_brown.angle("hematoxylin", "dab"))
    37
    >>> round(blue_brown.condition_number, 1)
    3.0
    """

    name: str
    stains: tuple[str, ...]
    vectors: npt.NDArray[np.float64]
    provisional: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)
    flags: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stains", tuple(self.stains))
        vectors = np.array(self.vectors, np.float64)
        count = len(self.stains)
        if not 1 <= count <= 3 or len(set(self.stains)) != count:
            raise ValueError(f"one to three different stain names are needed, got {self.stains}")
        if vectors.shape != (count, 3):
            raise ValueError(f"vectors must be ({count}, 3) for {self.stains}, got {vectors.shape}")
        if unknown := set(self.provisional) - set(self.stains):
            raise ValueError(f"provisional names no stain of this set: {sorted(unknown)}")
        lengths = np.linalg.norm(vectors, axis=1)
        if not np.isfinite(vectors).all() or (lengths < 1e-6).any():
            raise StainError(
                f"{self.name}: a stain vector is zero or not a number ({vectors.tolist()}); "
                "give the optical density in red, green and blue of each stain."
            )
        # Unit rows stay as they are, bit for bit: dividing again would drift on each reload.
        vectors /= np.where(np.abs(lengths - 1.0) < 1e-12, 1.0, lengths)[:, None]
        vectors.setflags(write=False)
        object.__setattr__(self, "vectors", vectors)
        if self.condition_number > MAX_CONDITION:
            raise StainError(self._inseparable())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StainMatrix):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return (self.name, self.stains, self.vectors.tobytes(), self.provisional, self.flags)

    def _inseparable(self) -> str:
        (first, second), angle = min(self.angles().items(), key=lambda item: item[1])
        return (
            f"{self.name}: {', '.join(self.stains)} cannot be told apart by colour (condition "
            f"number {self.condition_number:.1f}, limit {MAX_CONDITION:.0f}; {first} and {second} "
            f"lie {angle:.0f}° apart); stain them on separate sections, or use a chromogen of "
            "another colour or fluorescence."
        )

    @property
    def residual_vector(self) -> npt.NDArray[np.float64]:
        """The unit vector that no mixture of two stains can reach, float64 (3,).

        Raises ValueError unless the set has two stains.
        """
        if len(self.stains) != 2:
            raise ValueError(f"a residual vector needs two stains, {self.name} has {self.stains}")
        cross = np.cross(self.vectors[0], self.vectors[1])
        return np.asarray(cross / np.linalg.norm(cross), np.float64)

    @property
    def condition_number(self) -> float:
        """Largest over smallest singular value of the unit vectors.

        Two stains count with their unit residual vector, which leaves their own condition
        number unchanged.
        """
        singular = np.linalg.svd(self.vectors, compute_uv=False)
        return float("inf") if singular[-1] < 1e-12 else float(singular[0] / singular[-1])

    @property
    def unmixing(self) -> npt.NDArray[np.float64]:
        """The matrix from optical density to concentrations, float64 (S, 3)."""
        return np.asarray(np.linalg.pinv(self.vectors.T), np.float64)

    def angle(self, first: str, second: str) -> float:
        """Return the angle between two stains, in degrees."""
        a, b = (self.vectors[self.stains.index(name)] for name in (first, second))
        return vector_angle(a, b)

    def angles(self) -> dict[tuple[str, str], float]:
        """Return the angle of every pair of stains, in degrees."""
        names = self.stains
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
        return {(a, b): self.angle(a, b) for a, b in pairs}


def vector_angle(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Return the angle between two vectors, in degrees."""
    cosine = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def stain_names() -> tuple[str, ...]:
    """Return the names of the built-in stain sets.

    Examples
    --------
    >>> stain_names()
    ('h-dab', 'h-dab-red', 'he')
    """
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def load_stains(name_or_path: str | Path) -> StainMatrix:
    """Load a built-in stain set, or one from the user's own TOML file.

    Parameters
    ----------
    name_or_path : str or Path
        A name from `stain_names`, or the path of a ``.toml`` file.

    Returns
    -------
    StainMatrix

    Raises
    ------
    StainError
        When there is no such set or file, a key is unknown or missing, or the stains
        cannot be told apart.

    References
    ----------
    Built-in vectors: Ruifrok AC, Johnston DA, Anal Quant Cytol Histol 2001;23:291-299, in
    the values of Fiji's Colour Deconvolution and of scikit-image.

    Examples
    --------
    >>> load_stains("h-dab-red").stains
    ('hematoxylin', 'dab', 'red')
    >>> load_stains("h-dab-red").provisional
    ('red',)
    """
    text = str(name_or_path)
    path = _FOLDER / f"{text}.toml" if text in stain_names() else Path(name_or_path)
    if path.suffix != ".toml" or not path.is_file():
        raise StainError(
            f"{text}: no such stain set; use one of {', '.join(stain_names())}, or the path of "
            "a .toml file."
        )
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StainError(f"{path.name}: not a readable TOML file ({error}).") from error
    return _parse(content, path.name)


def _parse(content: dict[str, Any], file: str) -> StainMatrix:
    _refuse_unknown(content, _TOP_KEYS, file)
    stains = content.get("stains")
    if not isinstance(stains, dict) or not 1 <= len(stains) <= 3:
        raise StainError(f"{file}: one to three tables [stains.NAME] are needed, each a stain.")
    vectors, provisional = [], []
    for stain, entry in stains.items():
        where = f"{file}, [stains.{stain}]"
        if not isinstance(entry, dict):
            raise StainError(f"{where}: must be a table with the key vector.")
        if stain != stain.lower():
            raise StainError(f"{where}: stain names are lower case; write {stain.lower()}.")
        _refuse_unknown(entry, _STAIN_KEYS, where)
        vectors.append(_read_vector(entry.get("vector"), where))
        estimate = entry.get("estimate", False)
        if not isinstance(estimate, bool):
            raise StainError(f"{where}: estimate must be true or false, got {estimate!r}.")
        if estimate:
            provisional.append(stain)
    name = content.get("name", Path(file).stem)
    if not isinstance(name, str) or not name:
        raise StainError(f"{file}: name must be a word, got {name!r}.")
    return StainMatrix(name, tuple(stains), np.array(vectors), provisional=tuple(provisional))


def _refuse_unknown(table: dict[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(table) - known):
        raise StainError(
            f"{where}: unknown key {', '.join(unknown)}; known are {', '.join(sorted(known))}."
        )


def _read_vector(value: object, where: str) -> list[float]:
    good = isinstance(value, list) and len(value) == 3
    if not good or any(isinstance(v, bool) or not isinstance(v, int | float) for v in value):  # type: ignore[attr-defined]
        raise StainError(
            f"{where}: vector must be three numbers, the optical density in red, green and "
            f"blue; got {value!r}."
        )
    return [float(v) for v in value]  # type: ignore[attr-defined]


def save_stains(stains: StainMatrix, path: str | Path) -> None:
    """Write a stain set as TOML, for `load_stains` to read.

    Parameters
    ----------
    stains : StainMatrix
        What to write. Flags are kept as a comment: they belong to the estimate, not to
        the vectors.
    path : str or Path
        The file; replaced when it exists.

    Raises
    ------
    StainError
        When the file cannot be written, or a name is not a plain word.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_stains(load_stains("h-dab"), Path(folder) / "batch-7.toml")
    ...     load_stains(Path(folder) / "batch-7.toml").stains
    ('hematoxylin', 'dab')
    """
    lines = [f'name = "{_plain(stains.name)}"']
    if stains.flags:
        lines.append(f"# {', '.join(stains.flags)}")
    for stain, vector in zip(stains.stains, stains.vectors, strict=True):
        numbers = ", ".join(repr(float(v)) for v in vector)
        lines += ["", f'[stains."{_plain(stain)}"]', f"vector = [{numbers}]"]
        if stain in stains.provisional:
            lines.append("estimate = true")
    try:
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise StainError(f"{path}: cannot be written ({error.strerror}).") from error


def _plain(name: str) -> str:
    if not name.isprintable() or any(character in name for character in '"\\'):
        raise StainError(f"{name!r}: a name for a TOML file may not hold quotes or backslashes.")
    return name
