"""Check fluorescence on real fields: ``python mif_lung.py DATA [--out FOLDER]``.

DATA holds train/mif_lung_foxp3: fields of lung cancer (masks; one has a table of cells, none its
channels) and FIHC4 (channels and table). Masks and tables are a software's (inForm): agreement is
no accuracy. Prints Markdown; ``--out`` keeps the results of FIHC4.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import tifffile
from scipy.ndimage import center_of_mass

from histo.cells import Frame, measure_cells
from histo.metrics.agreement import f1_score, match_points
from histo.metrics.intervals import poisson_interval
from histo.metrics.reliability import cohens_kappa
from histo.panel import auto_threshold, classify_cells, load_panel, resolve_thresholds
from histo.pipeline import Settings, analyze_slide
from histo.results import SlideResult
from histo.slide import open_slide
from histo.tissue import tissue_mask_channels

LUNG, LUNG_UM = "Set4_1_6plex__16142_55840", 0.5
FIELD, RIM_PX, RADIUS_UM = "FIHC4", 64, 4.0
#: FIHC4 states no antigens: a dye goes with the phenotype that is brightest in it (median); Cy3,
#: nearly the same in all, with none.
OPALS = {"FoxP3": 570, "CD8": 540, "CD68": 620, "CK": 690}
LUNG_CHANNELS = {f"{name} (Opal {dye})": f"{name}+" for name, dye in OPALS.items()}
FIELD_CHANNELS = {"Alexa 594": "Cytotoxic T", "FITC": "Helper T", "Cy5": "B", "Cy3": ""}
#: A user's own panel, as docs/panels.md shows one: whole cells, thresholds from the slide.
PANEL = """name = "fihc4"
title = "Five channels"
kind = "channels"
model = "nuclei-fluorescence"
nuclear_channel = "dapi"
cell_expansion_um = 2.0
attribution = [{ source = "alexa594", signal = "fitc" }]
channels = [{name="dapi"}, {name="alexa594"}, {name="fitc"}, {name="cy5"}, {name="cy3"}]
"""
MARKER = '{{name="{0}", plane="{0}", compartment="cell", threshold_source="auto", auto_spreads=7}}'
NOT_CALLED = "none | not called | not defined | | "
FEW_CELLS, DRAWS = 500, 1000
SCORES = "positive / phenotype | kappa (95 %) | sensitivity | precision |"


def agreement(call: np.ndarray, truth: np.ndarray) -> str:
    """Write positives, kappa with its interval, sensitivity and precision."""
    both, called, true = (int(x.sum()) for x in (call & truth, call, truth))
    kappa = cohens_kappa([[both, called - both], [true - both, len(call) - called - true + both]])
    shares = " | ".join(f"{both / n:.3f}" if n else "none" for n in (true, called))
    return f"{called} / {true} | {kappa.value:.3f} ({kappa.low:.3f}, {kappa.high:.3f}) | {shares}"


def best_kappa(values: np.ndarray, truth: np.ndarray) -> str:
    """Write the kappa of the best of all thresholds: what the measure itself allows."""
    order = np.argsort(-values)[:-1]
    n, true, called = len(values), truth.sum(), np.arange(1, len(values))
    both, chance = np.cumsum(truth[order]), called * true + (n - called) * (n - true)
    kappa = (n * (n - called - true + 2 * both) - chance) / (n**2 - chance)
    return f"{kappa.max():.3f} at {values[order[np.argmax(kappa)]]:.3g}"


def mean_of(table: pd.DataFrame, place: str, channel: str) -> np.ndarray:
    """Return a mean of inForm's table; its column's name may go on."""
    return table[next(c for c in table if c.startswith(f"{place} {channel} Mean"))].to_numpy("f4")


def report_thresholds(table: pd.DataFrame, channels: dict[str, str]) -> None:
    """Print what the automatic rule of foxp3-rankl-if makes of a table's means."""
    panel = load_panel("foxp3-rankl-if")
    names = [panel.measurement(marker) for marker in panel.markers]
    for channel, phenotype in channels.items():
        truth = (table["Phenotype"] == phenotype).to_numpy()
        for place in ("Nucleus", "Cytoplasm", "Membrane") if phenotype else ():
            values = mean_of(table, place, channel)
            cells = pd.DataFrame(dict.fromkeys(names, values) | {"compartment": "tissue"})
            cut = resolve_thresholds(cells, panel, {"foxp3": "auto"})["foxp3"].values[0]
            called = agreement(values >= cut, truth)
            called = NOT_CALLED if np.isnan(cut) else f"{cut:.3g} | {called}"
            row = f"{called} | {best_kappa(values, truth)}"
            print(f"| {channel} | {phenotype} | {place.lower()} | {row} |")


def report_draws(table: pd.DataFrame) -> None:
    """Print how far the FOXP3 threshold varies when it is made on few cells of the field."""
    values = mean_of(table, "Nucleus", "FoxP3 (Opal 570)").astype("f8")
    truth = (table["Phenotype"] == "FoxP3+").to_numpy()
    spreads = load_panel("foxp3-rankl-if").marker("foxp3").auto_spreads
    rng, cuts = np.random.default_rng(0), []
    for _ in range(DRAWS):
        some = rng.choice(values, FEW_CELLS, replace=False)
        cuts.append(auto_threshold(some, spreads=spreads, compress=True)[0] or np.nan)
    kappas = [
        cohens_kappa(pd.crosstab(values >= cut, truth).to_numpy()).value
        for cut in cuts
        if (values >= cut).any()
    ]
    low, middle, high = np.nanpercentile(cuts, (5, 50, 95))
    worst, usual = np.percentile(kappas, (5, 50))
    print(
        f"\nFOXP3 from {FEW_CELLS} cells, {DRAWS} draws: 90 % of thresholds {low:.2f} to {high:.2f}"
    )
    print(f"(median {middle:.2f}); kappa {usual:.3f} in the middle, {worst:.3f} or less in 5 %.")


def report_size_limits(table: pd.DataFrame, nuclei: np.ndarray) -> None:
    """Print the panel's FOXP3 calls of the table's cells with inForm's nuclei, limits and all."""
    panel, ids = load_panel("foxp3-rankl-if"), table["Cell ID"].to_numpy()
    planes, frame = np.zeros((*nuclei.shape, 3), "f4"), Frame(0, 0, LUNG_UM, "intensity")
    names = panel.channel_names
    cells = measure_cells(nuclei, planes, names, owned=ids, frame=frame, expansion_um=2)
    cells["nucleus_foxp3_intensity_mean"] = mean_of(table, "Nucleus", "FoxP3 (Opal 570)")
    called = classify_cells(cells, panel, resolve_thresholds(cells, panel))
    truth = (table["Phenotype"] == "FoxP3+").to_numpy()
    rejected = called["flags"].str.contains("foxp3_rejected")[truth].sum()
    result = agreement(called["foxp3_positive"].to_numpy(), truth)
    print(f"\nFOXP3 with the panel's size limits: {result}; {rejected} FoxP3+ cells rejected.")


def with_rim(source: Path, target: Path) -> None:
    """Write the field with a rim of each channel's darkest value around, as OME-TIFF."""
    with open_slide(source) as slide:
        meta = {"axes": "CYX", "Channel": {"Name": list(slide.channel_names)}}
        meta |= dict.fromkeys(("PhysicalSizeX", "PhysicalSizeY"), slide.pixel_size_um)
    planes = [np.pad(p, RIM_PX, constant_values=p.min()) for p in tifffile.imread(source)]
    tifffile.imwrite(target, np.stack(planes), ome=True, metadata=meta)


def run_field(source: Path, table: pd.DataFrame, out: Path) -> None:
    """Run FIHC4 through the whole path, as it is and with a dark rim."""
    out.mkdir(parents=True, exist_ok=True)
    rim, panel = out / f"{FIELD}_rim.ome.tif", out / "panel.toml"
    with_rim(source, rim)
    markers = (MARKER.format(channel.lower().replace(" ", "")) for channel in FIELD_CHANNELS)
    panel.write_text(f"{PANEL}markers = [{', '.join(markers)}]\n", "utf-8")
    for title, slide, rim_px in (("as it is", source, 0), ("with a dark rim", rim, RIM_PX)):
        start = time.perf_counter()
        result = analyze_slide(slide, Settings(str(panel)), folder=out / title)
        size, flags = result.manifest["slide"], ", ".join(result.manifest["flags"]) or "none"
        print(f"\n{FIELD} {title}: {len(result.cells)} cells; {time.perf_counter() - start:.1f} s;")
        print(f"tissue {result.areas.tissue_um2:.0f} µm²; flags: {flags};", end=" ")
        print(f"{size['pixel_size_um']:.4f} µm/px ({size['pixel_size_source']}).")
        if len(result.cells):
            report_field(result, table, rim_px)


def report_field(result: SlideResult, table: pd.DataFrame, rim_px: int) -> None:
    """Compare nuclei, measures and calls of FIHC4 with inForm's."""
    um, cells = result.manifest["slide"]["pixel_size_um"], result.cells
    theirs = table[["Cell Y Position", "Cell X Position"]].to_numpy() * um
    pairs = match_points(cells[["y_um", "x_um"]].to_numpy() - rim_px * um, theirs, RADIUS_UM)
    f1 = f1_score(len(pairs), len(cells), len(table))
    print(f"Cells of histo / inForm: {len(cells)} / {len(table)}; F1 within 4 µm {f1:.3f}.\n")
    head = "| channel | threshold (source; note) | positive | nuclear mean, histo : inForm (r) |"
    print(f"{head} phenotype | {SCORES}\n" + "|---" * 9 + "|")
    ours, theirs = cells.iloc[pairs[:, 0]], table.iloc[pairs[:, 1]]
    for channel, phenotype in FIELD_CHANNELS.items():
        marker = channel.lower().replace(" ", "")
        cut = result.manifest["thresholds"][marker]
        pair = ours[f"nucleus_{marker}_intensity_mean"], mean_of(theirs, "Nucleus", channel)
        measured = f"{np.median(pair[0] / pair[1]):.2f} ({np.corrcoef(*pair)[0, 1]:.3f})"
        truth = (theirs["Phenotype"] == phenotype).to_numpy()
        known = not np.isnan(cut["values"][0])
        calls = " | | |"
        if phenotype and known:
            calls = agreement(ours[f"{marker}_positive"].to_numpy(bool), truth)
        value = f"{cut['values'][0]:.3g}" if known else "none"
        head = f"{channel} | {value} ({cut['source']}; {cut['note']})"
        positive = cells[f"{marker}_positive"].sum() if known else "not called"
        print(f"| {head} | {positive} | {measured} | {phenotype or 'none'} | {calls} |")
    wanted = ("alexa594_and_fitc_count", "alexa594_given_fitc_percent", "fitc_ambiguous_percent")
    print("\n" + "; ".join(f"{m.name} {m.value:.3g}" for m in result.metrics if m.name in wanted))


def report_compartments(table: pd.DataFrame, mask: np.ndarray) -> None:
    """Print the table's cells by the mask's compartment at their centroid."""
    at = np.rint(table[["Cell Y Position", "Cell X Position"]].to_numpy() / LUNG_UM).astype(int)
    code, positive = mask[tuple(at.T)], (table["Phenotype"] == "FoxP3+").to_numpy()
    print("\n| compartment | cells, mask / table | mm² | FOXP3+ | per mm² |\n" + "|---" * 5 + "|")
    for name, value in (("Tumor", 0), ("Stroma", 80)):
        here, mm2 = code == value, (mask == value).sum() * LUNG_UM**2 / 1e6
        count, told = (here & positive).sum(), (table["Tissue Category"] == name).sum()
        low, high = (limit / mm2 for limit in poisson_interval(count))
        density = f"{count / mm2:.1f} ({low:.1f}, {high:.1f})"
        print(f"| {name.lower()} | {here.sum()} / {told} | {mm2:.4f} | {count} | {density} |")


def report_tissue(folder: Path, temporary: Path) -> None:
    """Print how much of tissue-filled fields is found, in display colours.

    By `tissue_mask_channels` alone, and by a run on blue, which looks for nuclei where that found
    no tissue.
    """
    print(
        "\n| field | tissue in mask | by brightness: blue | all colours | run on blue: tissue |",
        end="",
    )
    print(" flags | nuclei, histo / inForm | F1 4 µm |\n" + "|---" * 8 + "|")
    for file in sorted(folder.glob("*_composite.jpg")):
        name, rgb = file.name.removesuffix("_composite.jpg"), cv2.imread(str(file))
        mask = cv2.imread(str(folder / f"{name}_tissue_x80.png"), 0)
        found = [tissue_mask_channels(image, LUNG_UM).mean() for image in (rgb[..., 0], rgb)]
        meta = {"axes": "YX"} | dict.fromkeys(("PhysicalSizeX", "PhysicalSizeY"), LUNG_UM)
        blue = temporary / "blue.ome.tif"
        tifffile.imwrite(blue, rgb[..., 0], ome=True, metadata=meta)
        result = analyze_slide(blue, Settings("nuclei-if"), folder=temporary / name)
        found.append(result.areas.tissue_um2 / (rgb[..., 0].size * LUNG_UM**2))
        nuclei = tifffile.imread(folder / f"{name}_nuclei.tif")
        theirs = np.array(center_of_mass(nuclei > 0, nuclei, np.unique(nuclei)[1:])) * LUNG_UM
        pairs = match_points(result.cells[["y_um", "x_um"]].to_numpy(), theirs, RADIUS_UM)
        f1 = f1_score(len(pairs), len(result.cells), len(theirs))
        shares = " | ".join(f"{share:.3f}" for share in ((mask < 160).mean(), *found))
        flags = ", ".join(result.manifest["flags"])
        counts = f"{len(result.cells)} / {len(theirs)}"
        print(f"| {name} | {shares} | {flags} | {counts} | {f1:.3f} |")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds train/mif_lung_foxp3")
    parser.add_argument("--out", type=Path, help="keep the results of FIHC4 here")
    options = parser.parse_args()
    folder = options.data / "train" / "mif_lung_foxp3"
    if not folder.is_dir():
        raise SystemExit(f"{folder} is not there; name the folder that has train/ in it.")
    table = pd.read_csv(folder / f"{LUNG}_cells.csv")
    field = pd.read_csv(folder / f"{FIELD}_cell_seg_data.txt", sep="\t")
    print(f"| channel | phenotype | in | threshold | {SCORES} best kappa |\n" + "|---" * 9 + "|")
    report_thresholds(table, LUNG_CHANNELS)
    report_thresholds(field, FIELD_CHANNELS)
    report_size_limits(table, tifffile.imread(folder / f"{LUNG}_nuclei.tif").astype(np.int32))
    report_draws(table)
    with tempfile.TemporaryDirectory() as temporary:
        source = folder / f"{FIELD}_component_5ch_float32.tif"
        run_field(source, field, options.out or Path(temporary))
        report_compartments(table, cv2.imread(str(folder / f"{LUNG}_tissue_x80.png"), 0))
        report_tissue(folder, Path(temporary))


if __name__ == "__main__":
    main()
