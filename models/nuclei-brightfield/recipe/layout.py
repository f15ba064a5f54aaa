"""Where nuclei lie in a tile, before any stain: labels, chromatin, and what surrounds them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage as ndi
from sources import Nucleus, Source

__all__ = [
    "KINDS",
    "Layout",
    "collage",
    "from_source",
    "label_means",
    "shaped",
    "take_tile",
]


@dataclass(slots=True)
class Layout:
    """An unstained tile.

    ``labels`` int32 (S, S); ``chroma`` float32 (S, S), about 1 inside nuclei; ``overlap``
    float32 (S, S), what a lower nucleus adds where an upper one covers it; ``structure``
    float32 (S, S, 2) of 0-1, real cytoplasm and membrane signal, or None. ``nest`` float32
    (S, S), 1 in epithelial nests, and ``kinds`` int8 (N + 1,), the `KINDS` of each label,
    where a layout knows them. ``stained`` says that ``chroma`` is real haematoxylin.
    """

    labels: np.ndarray
    chroma: np.ndarray
    overlap: np.ndarray
    structure: np.ndarray | None
    diameter_px: float
    nest: np.ndarray | None = None
    kinds: np.ndarray | None = None
    stained: bool = False


#: What a nucleus is: unknown, epithelial, spindle, lymphocyte.
KINDS = ("any", "epithelial", "spindle", "lymphocyte")


def label_means(plane: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean of ``plane`` in each label from 0 up, float32 (N + 1,); 0 where none is."""
    flat = labels.ravel()
    sums = np.bincount(flat, plane.ravel())
    return (sums / np.maximum(np.bincount(flat), 1)).astype(np.float32)


def take_tile(
    rng: np.random.Generator, source: Source, side_px: int, diameter_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return (image, labels) of a random square, rescaled so that nuclei get ``diameter_px``."""
    scale = float(np.clip(diameter_px / source.diameter_px, 0.3, 2.6))
    need = int(np.ceil(side_px / scale)) + 2
    image, labels = source.image, source.labels
    short = [max(0, need - n) for n in labels.shape]
    if any(short):
        pad = [(n // 2, n - n // 2) for n in short]
        image = np.pad(image, [*pad, (0, 0)], mode="symmetric")
        labels = np.pad(labels, pad, mode="symmetric")
    y = rng.integers(0, labels.shape[0] - need + 1)
    x = rng.integers(0, labels.shape[1] - need + 1)
    at = slice(y, y + need), slice(x, x + need)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (side_px, side_px)
    image = cv2.resize(np.ascontiguousarray(image[at]), size, interpolation=method)
    labels = cv2.resize(
        np.ascontiguousarray(labels[at]).astype(np.float32), size, interpolation=cv2.INTER_NEAREST
    )
    if scale > 1.3:  # enlarged masks have stairs for outlines; a median rounds them
        labels = cv2.medianBlur(labels, 5)
    labels = labels.astype(np.int32)
    turn, flip = rng.integers(4), rng.random() < 0.5
    image, labels = np.rot90(image, turn), np.rot90(labels, turn)
    if flip:
        image, labels = image[:, ::-1], labels[:, ::-1]
    labels = np.ascontiguousarray(labels)
    if any(short):
        labels = _split_mirrored(labels)
    return np.ascontiguousarray(image), labels


def _split_mirrored(labels: np.ndarray) -> np.ndarray:
    # Mirroring shows a nucleus twice under one number; each copy gets its own.
    result = np.zeros_like(labels)
    count = 0
    for label, box in enumerate(ndi.find_objects(labels), 1):
        if box is None:
            continue
        parts, n = ndi.label(labels[box] == label)
        result[box] = np.where(parts > 0, parts + count, result[box])
        count += n
    return result


def from_source(
    rng: np.random.Generator, source: Source, side_px: int, diameter_px: float
) -> Layout:
    """Lay out a tile as a fluorescence source shows it."""
    image, labels = take_tile(rng, source, side_px, diameter_px)
    if source.kind == "tissue":
        nuclear = image[..., 2].astype(np.float32)
        structure = np.stack([image[..., 1], image[..., 0]], -1).astype(np.float32) / 255
        structure = np.clip(structure * rng.uniform(1.2, 2.2), 0, 1.2)
    else:
        nuclear = image.max(-1).astype(np.float32)
        structure = None
    outside = nuclear[labels == 0]
    floor = float(np.median(outside)) if outside.size else 0.0
    signal = np.maximum(nuclear - floor, 1)
    means = np.maximum(label_means(signal, labels), 4)
    chroma = np.clip(signal / means[labels], 0.3, 2)
    chroma = np.where(labels > 0, chroma, 1).astype(np.float32)
    return Layout(labels, chroma, np.zeros_like(chroma), structure, diameter_px)


def _centres(rng: np.random.Generator, side_px: int, count: int, diameter_px: float) -> np.ndarray:
    """Positions in clusters and alone, float64 (N, 2)."""
    clusters = int(rng.integers(0, 6))
    share = rng.uniform(0.3, 0.9) if clusters else 0.0
    alone = rng.uniform(-8, side_px + 8, (int(count * (1 - share)), 2))
    parts = [alone]
    for _ in range(clusters):
        n = int(count * share / clusters) + 1
        spread = diameter_px * np.sqrt(n) * rng.uniform(0.35, 0.8)
        stretch = np.array([1.0, rng.uniform(0.15, 1)])[rng.permutation(2)]
        parts.append(rng.uniform(0, side_px, 2) + rng.normal(0, 1, (n, 2)) * spread * stretch)
    return np.concatenate(parts)


def shaped(
    rng: np.random.Generator, nucleus: Nucleus, diameter_px: float, elongation: float, angle: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return (mask bool, texture float32) of a nucleus, resized, stretched and turned."""
    scale = diameter_px / nucleus.diameter_px
    stretch = np.sqrt(elongation)
    height, width = nucleus.mask.shape
    size = int(np.ceil(max(height, width) * scale * stretch * 1.1)) + 4
    cos, sin = np.cos(angle), np.sin(angle)
    spin = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(spin), -np.sin(spin)], [np.sin(spin), np.cos(spin)]])
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([stretch, 1 / stretch]) @ turn * scale
    offset = np.array([size / 2, size / 2]) - matrix @ np.array([width / 2, height / 2])
    affine = np.column_stack([matrix, offset])
    mask = cv2.warpAffine(nucleus.mask, affine, (size, size), flags=cv2.INTER_LINEAR)
    texture = cv2.warpAffine(
        nucleus.texture,
        affine,
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return mask > 0.5, texture


def collage(
    rng: np.random.Generator, nuclei: list[Nucleus], side_px: int, diameter_px: float
) -> Layout:
    """Lay out single nuclei at any density: clusters that touch and overlap, spindles, loners."""
    labels = np.zeros((side_px, side_px), np.int32)
    chroma = np.ones((side_px, side_px), np.float32)
    overlap = np.zeros((side_px, side_px), np.float32)
    density = rng.choice([0.03, 0.15, 0.4, 0.8], p=[0.15, 0.3, 0.35, 0.2]) * rng.uniform(0.6, 1.4)
    count = int(np.clip(density * side_px**2 / (0.785 * diameter_px**2), 1, 420))
    spindle_share = rng.choice([0.0, 0.2, 0.9], p=[0.35, 0.45, 0.2])
    flow = rng.uniform(0, np.pi)
    spread = rng.uniform(0.08, 0.3)
    most_hidden = rng.uniform(0.05, 0.4)
    for number, (cy, cx) in enumerate(_centres(rng, side_px, count, diameter_px), 1):
        spindle = rng.random() < spindle_share
        elongation = rng.uniform(2.2, 4.5) if spindle else rng.uniform(1, 1.5)
        angle = flow + rng.normal(0, 0.25) if spindle else rng.uniform(0, np.pi)
        diameter = diameter_px * np.exp(rng.normal(0, spread))
        nucleus = nuclei[rng.integers(len(nuclei))]
        mask, texture = shaped(rng, nucleus, diameter, elongation, angle)
        y, x = int(cy - mask.shape[0] / 2), int(cx - mask.shape[1] / 2)
        y0, x0 = max(0, y), max(0, x)
        y1, x1 = min(side_px, y + mask.shape[0]), min(side_px, x + mask.shape[1])
        if y1 <= y0 or x1 <= x0:
            continue
        part = mask[y0 - y : y1 - y, x0 - x : x1 - x]
        there = labels[y0:y1, x0:x1]
        covered = part & (there > 0)
        if covered.sum() > most_hidden * max(1, part.sum()):
            continue
        overlap[y0:y1, x0:x1][covered] = rng.uniform(0.2, 0.8)
        there[part] = number
        chroma[y0:y1, x0:x1][part] = np.clip(texture[y0 - y : y1 - y, x0 - x : x1 - x], 0.4, 2)[
            part
        ]
    return Layout(labels, chroma, overlap, None, diameter_px)
