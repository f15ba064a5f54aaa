"""Painting nuclei: outline, chromatin, nuclear marker, one small patch at a time."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from histo.phantom.noise import Plane, grain
from histo.phantom.population import KINDS, Population

_FOCUS_BLUR_UM: Final = 1.1
_TEXTURE_PX: Final = 192

# Per kind: strength of clumps, fine grain, vesicular rim, number of nucleoli.
_CHROMATIN: Final = {
    "tumour": (0.5, 0.7, 1.0, 1.2),
    "lymphocyte": (1.0, 0.4, 0.15, 0.0),
    "fibroblast": (0.4, 0.5, 0.25, 0.15),
    "endothelial": (0.4, 0.5, 0.1, 0.0),
    "macrophage": (0.5, 0.6, 0.7, 0.4),
}


@dataclass(frozen=True, slots=True)
class NuclearStain:
    """Levels of every nucleus; arrays of float64 (N,) or bool (N,).

    Parameters
    ----------
    nuclear
        Mean of the nuclear stain over the nucleus.
    marker
        Mean of the nuclear marker (FOXP3); 0 paints none.
    in_focus
        False blurs the nucleus.
    chromatin, rim
        Texture contrast and vesicularity of the field, 0-1.
    """

    nuclear: NDArray[np.float64]
    marker: NDArray[np.float64]
    in_focus: NDArray[np.bool_]
    chromatin: float
    rim: float


@dataclass(frozen=True, slots=True)
class PaintedNuclei:
    """``labels`` int32 (Y, X), 1 + index into the population; planes float32 (Y, X)."""

    labels: NDArray[np.int32]
    nuclear: Plane
    marker: Plane


@dataclass(frozen=True, slots=True)
class _Window:
    """A patch of the field: its pixels and their coordinates along a nucleus's axes, µm."""

    rows: slice
    columns: slice
    u: Plane
    v: Plane


def _window(pop: Population, i: int, shape: tuple[int, int], px: float) -> _Window | None:
    reach = 1.3 * pop.half_length_um[i] + 1.2
    y0, x0 = max(0, int((pop.y_um[i] - reach) / px)), max(0, int((pop.x_um[i] - reach) / px))
    y1 = min(shape[0], int((pop.y_um[i] + reach) / px) + 2)
    x1 = min(shape[1], int((pop.x_um[i] + reach) / px) + 2)
    if y0 >= y1 or x0 >= x1:
        return None
    dy = ((np.arange(y0, y1) + 0.5) * px - pop.y_um[i]).astype(np.float32)[:, None]
    dx = ((np.arange(x0, x1) + 0.5) * px - pop.x_um[i]).astype(np.float32)[None]
    c, s = np.float32(np.cos(pop.angle[i])), np.float32(np.sin(pop.angle[i]))
    u, v = dx * c + dy * s, dy * c - dx * s
    if pop.bend[i]:
        v = v - np.float32(pop.bend[i]) * (u * u - np.float32(pop.half_length_um[i] ** 2 / 3))
    return _Window(slice(y0, y1), slice(x0, x1), u, v)


def _depth(window: _Window, a: float, b: float, waves: NDArray[np.float64]) -> Plane:
    """Approximate distance inside the outline, µm (negative outside).

    The outline is an ellipse whose radius carries four harmonics; `waves` holds their
    cosine and sine amplitudes, (2, 4).
    """
    fu, fv = window.u / np.float32(a), window.v / np.float32(b)
    rho = np.sqrt(fu * fu + fv * fv) + np.float32(1e-4)
    cos, sin = fu / rho, fv / rho
    outline = np.ones_like(rho)
    ck, sk = cos, sin
    for k in range(4):  # harmonics 2 to 5, by the angle addition rule
        ck, sk = ck * cos - sk * sin, sk * cos + ck * sin
        outline += np.float32(waves[0, k]) * ck + np.float32(waves[1, k]) * sk
    slope = np.sqrt((fu / np.float32(a)) ** 2 + (fv / np.float32(b)) ** 2) / rho
    return np.asarray((outline - rho) / np.maximum(slope, 1e-3), np.float32)


class _Texture:
    """Two octaves of noise from which each nucleus takes its own window."""

    def __init__(self, rng: np.random.Generator, px: float) -> None:
        side = (_TEXTURE_PX, _TEXTURE_PX)
        self.clumps = grain(rng, side, sigma_px=0.55 / px)
        self.fine = grain(rng, side, sigma_px=max(0.28 / px, 0.45))

    def take(self, which: str, at: float, shape: tuple[int, ...]) -> Plane:
        plane = self.clumps if which == "clumps" else self.fine
        room_y = max(1, _TEXTURE_PX - shape[0])
        room_x = max(1, _TEXTURE_PX - shape[1])
        y, x = int(at * 7919 * room_y) % room_y, int(at * room_x)
        patch = plane[y : y + shape[0], x : x + shape[1]]
        if patch.shape == shape:
            return patch
        return np.resize(plane, shape)


def _chromatin(
    depth: Plane,
    window: _Window,
    clumps: Plane,
    traits: tuple[str, float],
    draw: NDArray[np.float64],
) -> Plane:
    """Relative density of haematoxylin without the grain: rim, pale middle, nucleoli."""
    kind, field_rim = traits
    _, _, vesicular, nucleoli = _CHROMATIN[kind]
    rim = np.float32(vesicular * field_rim * 1.4 * draw[0])
    inner = np.clip(depth / 1.6, 0, 1)
    # The envelope is patchy: here and there chromatin leaves it.
    broken = np.clip(np.float32(0.7) + np.float32(0.55) * clumps, 0, 1.6)
    envelope = np.exp(-((depth - np.float32(0.4)) ** 2) / np.float32(0.2))
    density = 1 - np.float32(0.5) * rim * inner + np.float32(0.45) * rim * broken * envelope
    for k in range(int(nucleoli * field_rim * 2 * draw[1] + 0.5 * nucleoli)):
        cu, cv = (draw[2 + 2 * k : 4 + 2 * k] - 0.5) * 0.9 * float(depth.max())
        gap = (window.u - np.float32(cu)) ** 2 + (window.v - np.float32(cv)) ** 2
        density = density + np.float32(0.9) * np.exp(-gap / np.float32(0.5 + 0.5 * draw[8]))
    return np.asarray(density, np.float32)


def paint_nuclei(
    rng: np.random.Generator,
    pop: Population,
    stain: NuclearStain,
    *,
    shape: tuple[int, int],
    pixel_size_um: float,
) -> PaintedNuclei:
    """Paint nuclei one over the other.

    Parameters
    ----------
    rng
        Source of randomness.
    pop
        The nuclei, lowest first.
    stain
        Their levels.
    shape
        (Y, X), pixels.
    pixel_size_um
        Pixel size, µm.

    Returns
    -------
    PaintedNuclei
        A pixel belongs to the uppermost nucleus whose outline holds its centre. Where nuclei
        overlap, half of the lower one's stain shows through, as in a section of finite thickness.
    """
    px = pixel_size_um
    texture = _Texture(rng, px)
    waves = rng.standard_normal((len(pop), 2, 4)) * np.array([0.05, 0.045, 0.026, 0.018])
    draws = rng.random((len(pop), 12))
    labels = np.zeros(shape, np.int32)
    planes = np.zeros((2, 2, *shape), np.float32)  # (sharp, soft) x (nuclear, marker)
    for i in range(len(pop)):
        window = _window(pop, i, shape, px)
        if window is None:
            continue
        a, b = float(pop.half_length_um[i]), float(pop.half_width_um[i])
        depth = _depth(window, a, b, waves[i])
        inside = depth > 0
        if not inside.any():
            continue
        kind = KINDS[pop.kind[i]]
        # Nuclei that lie oblique to the section fade out over a longer way.
        width = max(0.6 + 1.8 * draws[i, 11] ** 3 * min(1.0, b / 3.0), px)
        cover = np.clip(depth / np.float32(width) + np.float32(0.5), 0, 1)
        clumps = texture.take("clumps", draws[i, 9], depth.shape)
        fine = texture.take("fine", draws[i, 10], depth.shape)
        rough, small, *_ = _CHROMATIN[kind]
        mottle = np.float32(stain.chromatin) * (
            np.float32(0.55 * rough) * clumps + np.float32(0.45 * small) * fine
        )
        nuclear = cover * np.maximum(
            _chromatin(depth, window, clumps, (kind, stain.rim), draws[i]) * (1 + mottle), 0.12
        )
        at = (window.rows, window.columns)
        layer = planes[0 if stain.in_focus[i] else 1]
        through = 1 - np.float32(0.5) * cover
        planes[(slice(None), slice(None), *at)] *= through
        layer[(0, *at)] += nuclear * np.float32(
            stain.nuclear[i] / max(float(nuclear[inside].mean()), 1e-6)
        )
        if stain.marker[i] > 0:
            # The precipitate of the chromogen spreads a little beyond the nucleus and is uneven.
            spread = np.clip(depth / np.float32(1.1) + np.float32(0.6), 0, 1)
            patchy = np.float32(0.06 + 0.24 * draws[i, 1])
            uneven = 1 + patchy * clumps + np.float32(0.6) * patchy * fine
            marker = spread * np.maximum(uneven, 0.15)
            layer[(1, *at)] += marker * np.float32(
                stain.marker[i] / max(float(marker[inside].mean()), 1e-6)
            )
        labels[at][inside] = i + 1
    if not stain.in_focus.all():
        for k in range(2):
            planes[1, k] = cv2.GaussianBlur(planes[1, k], (0, 0), _FOCUS_BLUR_UM / px)
    return PaintedNuclei(labels, planes[0, 0] + planes[1, 0], planes[0, 1] + planes[1, 1])
