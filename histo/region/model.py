"""A region model: loaded from its folder, run over the maps of a slide, written."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml
from scipy import ndimage as ndi

from histo.errors import ModelError
from histo.geometry import Region
from histo.nuclei.model import model_folder
from histo.region.maps import MAP_UM, RegionMaps, plane_list
from histo.region.network import REACH_PX, RegionNet

__all__ = ["RegionModel", "find_compartments", "load_region_model", "write_region_model"]

#: Side of the blocks that are drawn and looked at together, px, so that memory stays bounded.
BLOCK_PX = 1024
#: Scores are smoothed over this distance, and smaller islands join what surrounds them.
_SMOOTH_UM, _SMALLEST_UM2 = 6.0, 1500.0
_SMOOTH_PX = int(4 * _SMOOTH_UM / MAP_UM + 0.5)


@dataclass(frozen=True, slots=True, eq=False)
class RegionModel:
    """A network with the names of its classes.

    Attributes
    ----------
    name, version, sha256 : str
    classes : tuple of str
        Such as ``("Tumor", "Stroma")``.
    stains : tuple of str
        Stains or channels that it reads beside the nuclei.
    net : RegionNet
    """

    name: str
    version: str
    sha256: str
    classes: tuple[str, ...]
    stains: tuple[str, ...]
    net: RegionNet

    def probabilities(self, maps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return how likely each class is, float32 (K, Y, X), of maps float32 (P, Y, X)."""
        with torch.inference_mode():
            scores = self.net(torch.from_numpy(maps)[None])
            return np.asarray(torch.softmax(scores, 1)[0].numpy(), np.float32)


def find_compartments(
    model: RegionModel,
    maps: RegionMaps,
    tissue: npt.NDArray[np.bool_],
    *,
    progress: Callable[[float], None] | None = None,
) -> npt.NDArray[np.uint8]:
    """Give each pixel of the tissue its compartment.

    Parameters
    ----------
    model : RegionModel
    maps : RegionMaps
    tissue : bool (Y, X)
        At `MAP_UM`.
    progress : callable, optional
        Takes the part done, 0-1.

    Returns
    -------
    uint8 (Y, X)
        0 outside of tissue, else 1 + the class's position in ``model.classes``. Islands below
        1500 µm² have joined what surrounds them.

    Raises
    ------
    ValueError
        If the sizes differ, or the maps lack a plane that the model reads.

    Examples
    --------
    >>> from histo.cells import empty_cells
    >>> net = RegionNet(len(plane_list()), 2).eval()
    >>> model = RegionModel("m", "1", "", ("Tumor", "Stroma"), (), net)
    >>> maps = RegionMaps.of(
    ...     empty_cells(["hematoxylin"]),
    ...     np.zeros((30, 40), np.float32),
    ...     nuclear_column="nucleus_hematoxylin_od_mean",
    ... )
    >>> find_compartments(model, maps, np.zeros((30, 40), bool)).max()
    np.uint8(0)
    """
    if maps.shape != tissue.shape:
        raise ValueError(f"the maps are {maps.shape}, but tissue is {tissue.shape}.")
    if maps.planes != plane_list(model.stains):
        raise ValueError(f"the model reads {plane_list(model.stains)}, got {maps.planes}.")
    best = np.ones(tissue.shape, np.uint8)
    parts = [
        Region(y, x, BLOCK_PX, BLOCK_PX).clip(maps.shape)
        for y in range(0, maps.shape[0], BLOCK_PX)
        for x in range(0, maps.shape[1], BLOCK_PX)
    ]
    for number, part in enumerate(parts, 1):
        if tissue[part.slices()].any():
            wide = part.expand(REACH_PX + _SMOOTH_PX).clip(maps.shape)
            likely = model.probabilities(maps.draw(wide))
            for plane in likely:
                plane[...] = ndi.gaussian_filter(plane, _SMOOTH_UM / MAP_UM)
            codes = likely[(slice(None), *part.slices_in(wide))].argmax(0) + 1
            best[part.slices()] = codes
        if progress is not None:
            progress(number / len(parts))
    return np.where(tissue, _without_islands(best, tissue), 0).astype(np.uint8)


def _without_islands(
    classes: npt.NDArray[np.uint8], tissue: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Give small islands the class of the nearest pixel that belongs to none."""
    small = np.zeros(classes.shape, bool)
    for value in np.unique(classes[tissue]):
        parts, count = ndi.label((classes == value) & tissue)
        if count:
            area = np.bincount(parts.ravel()) * MAP_UM**2
            small |= (area < _SMALLEST_UM2)[parts] & (parts > 0)
    kept = tissue & ~small
    if not small.any() or not kept.any():
        return classes
    nearest = ndi.distance_transform_edt(~kept, return_distances=False, return_indices=True)
    return np.asarray(classes[tuple(nearest)])


def load_region_model(name_or_path: str | Path) -> RegionModel:
    """Load a region model from its folder.

    Parameters
    ----------
    name_or_path : str or path
        A built-in model's name, or a folder that `histo train-regions` wrote.

    Raises
    ------
    ModelError
        If there is none, it is none for regions, or its weights are altered.

    Examples
    --------
    >>> load_region_model("nuclei-brightfield")
    Traceback (most recent call last):
    ...
    histo.errors.ModelError: nuclei-brightfield is a model for nuclei; ...
    """
    folder = model_folder(name_or_path)
    try:
        rdf: dict[str, Any] = yaml.safe_load((folder / "rdf.yaml").read_text(encoding="utf-8"))
        file, own = rdf["weights"]["pytorch_state_dict"], rdf["config"]["histo"]
        if own["reads"] != "regions":
            raise ModelError(
                f"{folder.name} is a model for nuclei; a region model is needed here, such as "
                "one made by `histo train-regions`."
            )
        classes = tuple(str(name) for name in own["classes"])
        stains = tuple(str(name) for name in own["stains"])
        if tuple(own["planes"]) != plane_list(stains):
            raise ModelError(
                f"{folder.name} was trained on other maps than this histo draws; train it again."
            )
        content = (folder / file["source"]).read_bytes()
        digest, name, version = str(file["sha256"]), str(rdf["name"]), str(rdf["version"])
    except (KeyError, TypeError, OSError, yaml.YAMLError) as error:
        raise ModelError(
            f"{folder / 'rdf.yaml'}: not a region model that histo can read "
            f"({type(error).__name__}: {error}); train it again with `histo train-regions`."
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelError(
            f"Model {name}: its weights are not those that its card names; install it again."
        )
    net = RegionNet(len(plane_list(stains)), len(classes))
    net.load_state_dict(torch.load(io.BytesIO(content), weights_only=True))
    return RegionModel(name, version, digest, classes, stains, net.eval())


def write_region_model(
    folder: str | Path,
    net: RegionNet,
    classes: tuple[str, ...],
    *,
    stains: tuple[str, ...] = (),
    about: dict[str, Any],
) -> str:
    """Write ``weights.pt`` and ``rdf.yaml``; other files stay.

    Parameters
    ----------
    folder : path
        Made when it is absent.
    net : RegionNet
    classes : tuple of str
    stains : tuple of str
        Stains or channels that it reads beside the nuclei.
    about : dict
        What else rdf.yaml says: name, version, description, licence and so on.

    Returns
    -------
    str
        SHA-256 of the weights.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> net = RegionNet(len(plane_list()), 2)
    >>> about = {"name": "mine", "version": "1"}
    >>> digest = write_region_model(folder, net, ("Tumor", "Stroma"), about=about)
    >>> load_region_model(folder).sha256 == digest
    True
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    torch.save(net.state_dict(), stream)
    content = stream.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    rdf = {
        **about,
        "weights": {"pytorch_state_dict": {"source": "weights.pt", "sha256": digest}},
        "config": {
            "histo": {
                "reads": "regions",
                "classes": list(classes),
                "stains": list(stains),
                "planes": list(plane_list(stains)),
                "map_um": MAP_UM,
            }
        },
    }
    (folder / "weights.pt").write_bytes(content)
    text = yaml.safe_dump(rdf, sort_keys=False, allow_unicode=True)
    (folder / "rdf.yaml").write_text(text, encoding="utf-8")
    return digest
