"""The free images that the recipe renders from: arrays of nuclei with known masks.

Each item is a `Source`: a picture, its instance labels, and what is known of the tissue
between the nuclei. Sources hold no stain: `render.py` paints them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile
from scipy import ndimage as ndi

__all__ = ["Nucleus", "Source", "cut_nuclei", "load_sources"]

#: Side of the pieces that large fields are cut into, px.
PIECE = 470

#: A mask that fills less of its convex hull is no single nucleus.
LEAST_SOLID = 0.86

#: So many nuclei at most are cut out of one field: no field shall rule the others.
MOST_OF_A_FIELD = 90


@dataclass(frozen=True, slots=True)
class Source:
    """A picture with instance labels.

    ``kind`` is "culture" (nuclear fluorescence), "tissue" (multiplex fluorescence: blue is
    DAPI, red and green show cytoplasm, membranes and fibres) or "histology" (stained,
    bright field). ``image`` uint8 (Y, X, 3), ``labels`` int32 (Y, X), ``diameter_px`` the
    median nucleus.
    """

    kind: str
    image: np.ndarray
    labels: np.ndarray
    diameter_px: float


@dataclass(frozen=True, slots=True)
class Nucleus:
    """One nucleus cut out: ``mask`` float32 (Y, X), ``texture`` float32 (Y, X) of mean 1."""

    mask: np.ndarray
    texture: np.ndarray
    diameter_px: float


def _diameter(labels: np.ndarray) -> float:
    areas = np.bincount(labels.ravel())[1:]
    areas = areas[areas > 0]
    return float(np.sqrt(4 * np.median(areas) / np.pi)) if len(areas) else 0.0


def load_sources(folder: Path, *, held_out_fifth: bool = True) -> list[Source]:
    """Read every usable source under ``folder`` (which holds dsb2018/ and mif_lung_foxp3/).

    With ``held_out_fifth`` each fifth dsb2018 fluorescence image, in name order, is left out,
    so that it can be scored.
    """
    sources: list[Source] = []
    for sub, kind in (
        ("fluorescence", "culture"),
        ("histology_purple_on_white", "histology"),
        ("histology_purple", "histology"),
    ):
        files = sorted((folder / "dsb2018" / sub).glob("*_image.png"))
        for number, file in enumerate(files):
            if held_out_fifth and kind == "culture" and number % 5 == 4:
                continue
            image = cv2.imread(str(file))[..., ::-1]
            labels = tifffile.imread(str(file).replace("_image.png", "_labels.tif")).astype(
                np.int32
            )
            diameter = _diameter(labels)
            if diameter > 5:
                sources.append(Source(kind, np.ascontiguousarray(image), labels, diameter))
    for file in sorted((folder / "mif_lung_foxp3").glob("Set*composite.jpg")):
        sources += _tissue_pieces(file)
    return sources


def _tissue_pieces(file: Path) -> list[Source]:
    image = np.ascontiguousarray(cv2.imread(str(file))[..., ::-1])
    name = str(file).replace("_composite.jpg", "")
    labels = tifffile.imread(name + "_nuclei.tif").astype(np.int32)
    pieces = []
    for y in range(0, labels.shape[0] - PIECE + 1, PIECE - 10):
        for x in range(0, labels.shape[1] - PIECE + 1, PIECE - 10):
            at = slice(y, y + PIECE), slice(x, x + PIECE)
            smooth = _smooth_masks(labels[at])
            diameter = _diameter(smooth)
            if diameter > 5:
                pieces.append(Source("tissue", image[at], smooth, diameter))
    return pieces


def _smooth_masks(labels: np.ndarray, *, sigma_px: float = 1.3) -> np.ndarray:
    """Round off the jagged software outlines, shrink them a little, drop shapeless ones."""
    smooth = np.zeros(labels.shape, np.int32)
    count = 0
    for label, box in enumerate(ndi.find_objects(labels), 1):
        if box is None:
            continue
        mask = np.pad(labels[box] == label, 4).astype(np.float32)
        mask = (cv2.GaussianBlur(mask, (0, 0), sigma_px) > 0.55)[4:-4, 4:-4]
        area = int(mask.sum())
        if area < 25 or area < LEAST_SOLID * _hull_area(mask):
            continue
        count += 1
        smooth[box][mask] = count
    return smooth


def _hull_area(mask: np.ndarray) -> float:
    """Return the area of the smallest convex shape around a mask, px."""
    points = np.argwhere(mask).astype(np.int32)
    hull = cv2.convexHull(points)
    # Pixels are squares about their centres: half a pixel more along the whole outline.
    return cv2.contourArea(hull) + cv2.arcLength(hull, closed=True) / 2 + 1


def cut_nuclei(sources: list[Source], *, kind: str = "culture", limit: int = 6000) -> list[Nucleus]:
    """Cut single nuclei out of the sources of a kind, for layouts of any density.

    Those of "histology" carry the chromatin of haematoxylin, those of "culture" that of a
    fluorescent dye.
    """
    nuclei: list[Nucleus] = []
    for source in sources:
        if source.kind != kind:
            continue
        signal, least = _signal(source)
        outside = signal[source.labels == 0]
        floor = float(np.median(outside)) if outside.size else 0.0
        for label, box in enumerate(ndi.find_objects(source.labels)[:MOST_OF_A_FIELD], 1):
            if box is None:
                continue
            at_edge = any(
                s.start == 0 or s.stop == n for s, n in zip(box, source.labels.shape, strict=True)
            )
            mask = source.labels[box] == label
            area = int(mask.sum())
            if at_edge or area < 150 or area < LEAST_SOLID * _hull_area(mask):
                continue
            texture = signal[box] - floor
            mean = float(texture[mask].mean())
            if mean < least:
                continue
            nuclei.append(
                Nucleus(
                    np.pad(mask.astype(np.float32), 2),
                    np.pad(np.where(mask, texture / mean, 1).astype(np.float32), 2, mode="edge"),
                    float(np.sqrt(4 * area / np.pi)),
                )
            )
    keep = np.random.default_rng(0).permutation(len(nuclei))[:limit]
    return [nuclei[i] for i in keep]


def _signal(source: Source) -> tuple[np.ndarray, float]:
    """Return how much dye lies in each pixel, and how much a nucleus must have at least."""
    if source.kind == "histology":
        return -np.log10(np.maximum(source.image, 1) / 255).mean(-1).astype(np.float32), 0.08
    return source.image.max(-1).astype(np.float32), 4.0
