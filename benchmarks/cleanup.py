"""What the clean-up presets make of ragged masks of real nuclei.

Truth are nuclei of a data set's label images. A ragged mask is the truth's signed distance plus noise that is smooth
over a pixel, in units of the nucleus' diameter, cut at zero, in a window twice as wide as the nucleus; a model's answer
looks like that where it is unsure. Times are processor seconds of one thread for one mask.

Below that: outlines of the same nuclei, simplified by a tolerance and by a budget of vertices.

Run ``python benchmarks/cleanup.py FOLDER_OF_LABEL_PNGS [--nuclei 400] [--mpp 0.25] [--json PATH]``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from histoseed.geometry import label_to_polygons, polygons_to_label, simplify_outline
from histoseed.metrics import PUBLISHED_USABILITY, mask_overlap, usability
from histoseed.prompting.cleanup import PRESETS, clean_up

Mask = npt.NDArray[np.bool_]

LEAST = 12
TOLERANCES = (0.0, 0.15, 0.25, 0.5)
BUDGETS = (24, 16, 12, 8)
NUMBERS = ("compactness", "solidity", "smoothness", "components", "vertices")


def nuclei(folder: Path, count: int, rng: np.random.Generator) -> list[Mask]:
    """Masks of random nuclei, each in a square window twice as wide as its longer side."""
    found = []
    for path in sorted(folder.glob("*.png")):
        labels = np.asarray(Image.open(path)).astype(np.int64)
        for label, place in enumerate(ndimage.find_objects(labels), start=1):
            mask = None if place is None else labels[place] == label
            if mask is not None and mask.sum() >= LEAST:
                side = 2 * max(mask.shape)
                rows, columns = ((side - n) // 2 for n in mask.shape)
                window = np.zeros((side, side), dtype=bool)
                window[rows : rows + mask.shape[0], columns : columns + mask.shape[1]] = mask
                found.append(window)
    return [found[k] for k in rng.permutation(len(found))[:count]]


def ragged(mask: Mask, share: float, rng: np.random.Generator) -> Mask:
    """The mask with an outline that is off by ``share`` of its diameter (standard deviation)."""
    distance = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    noise = ndimage.gaussian_filter(rng.normal(size=mask.shape), 1.0)
    diameter = 2 * np.sqrt(mask.sum() / np.pi)
    return np.asarray(distance + share * diameter * noise / noise.std() > 0)


def measured(truth: list[Mask], masks: list[Mask], preset: str, mpp: float) -> dict[str, float]:
    """Means over the nuclei after one preset; shape numbers of the published protocol are marked so."""
    start = time.process_time()
    cleaned = [clean_up(mask, preset, mpp=mpp).mask for mask in masks]
    seconds = time.process_time() - start
    row = {"dice": float(np.mean([mask_overlap(a, b).dice for a, b in zip(truth, cleaned, strict=True)]))}
    row["lost"] = float(np.mean([not mask.any() for mask in cleaned]))
    for key in NUMBERS:
        row[key] = float(np.nanmean([getattr(usability(mask, mpp=mpp), key) for mask in cleaned]))
    published = [usability(mask, protocol=PUBLISHED_USABILITY) for mask in cleaned]
    for key in NUMBERS[:3]:
        row[f"{key}_published"] = float(np.mean([getattr(found, key) for found in published]))
    row["ms"] = 1000 * seconds / len(masks)
    return row


def simplified(truth: list[Mask], mpp: float, **options: float) -> dict[str, float]:
    """Means over the nuclei: vertices, what they cost, and Dice of the simplified outline drawn again."""
    rows = []
    for mask in truth:
        found = simplify_outline(label_to_polygons(mask)[1][0], mpp=mpp, **options)  # type: ignore[arg-type]
        drawn = polygons_to_label([found.outline], mask.shape).astype(bool)
        costs = (found.vertices, found.tolerance, found.hausdorff, found.area_ratio)
        rows.append((*costs, mask_overlap(mask, drawn).dice))
    names = ("vertices", "tolerance_um", "hausdorff_um", "area_ratio", "dice")
    return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--nuclei", type=int, default=400)
    parser.add_argument("--mpp", type=float, default=0.25)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    truth = nuclei(options.labels, options.nuclei, rng)
    print(f"{len(truth)} nuclei, median diameter {np.median([2 * np.sqrt(m.sum() / np.pi) for m in truth]):.1f} px")
    rows = []
    for share in (0.0, 0.05, 0.1):
        masks = [ragged(mask, share, rng) for mask in truth]
        for preset in ("none", "default", "um", "published", "published-service"):
            assert preset in PRESETS
            row = measured(truth, masks, preset, options.mpp)
            rows.append({"ragged": share, "preset": preset, **row})
            print(share, preset, {key: round(value, 3) for key, value in row.items()})
    for given in [{"tolerance": t} for t in TOLERANCES] + [{"budget": b} for b in BUDGETS]:
        row = simplified(truth, options.mpp, **given)
        rows.append({**given, **row})
        print(given, {key: round(value, 3) for key, value in row.items()})
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
