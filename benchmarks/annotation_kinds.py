"""What the same nuclei teach as outlines, as boxes and as points.

    python benchmarks/annotation_kinds.py --data ../shared/data/gbm40 --mpp 0.25 --out runs/kinds --json kinds.json

Protocol. A folder for ``import labels`` (pictures and label images). Its patches are dealt to training and test, anew
for each draw: every other patch, in an order that the draw shuffles. The outlines of the training part become boxes
(their bounding boxes) or points (their centroids). N crops of 64 um, nested, the same for all kinds; the bundled model
is adapted with the defaults of ``histoseed adapt``. All are scored on the outlines of the test part, their central
window of 64 um, protocol "histoseed". No patch is set aside for validation.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from histoseed.datasets import CROP_UM, Dataset, DatasetWriter, Marks, Patch, crop_patch, import_labels, read_dataset
from histoseed.datasets.objects import measure_labels
from histoseed.files import write_json
from histoseed.workflows.adapt import adapt
from histoseed.workflows.evaluate import evaluate

KINDS = ("outlines", "boxes", "points")
SCORES = ("pq", "sq", "aji", "f1_detection", "precision_detection", "recall_detection")


def marked(patch: Patch, kind: str) -> Patch:
    """A patch whose outlines became boxes or points."""
    measured = measure_labels(patch.labels)
    classes = patch.class_ids[measured["label"]].astype(np.int32)
    if kind == "boxes":
        boxes = np.stack([measured[name] for name in ("x0", "y0", "x1", "y1")], 1)
        marks = Marks(boxes=boxes, box_classes=classes)
    else:
        marks = Marks(np.stack([measured["centroid_x"], measured["centroid_y"]], 1), classes)
    return replace(patch, labels=np.zeros_like(patch.labels), class_ids=np.zeros(1, np.int32), marks=marks)


def prepared(source: Path, work: Path, mpp: float) -> dict[str, Dataset]:
    """The data set in its three forms, and the windows that are scored."""
    sets = {"outlines": import_labels(source, work / "outlines", mpp=mpp, name="outlines", overwrite=True)}
    for kind in ("boxes", "points"):
        with DatasetWriter(work / kind, replace(sets["outlines"].info, name=kind), overwrite=True) as writer:
            for patch in sets["outlines"]:
                writer.add_patch(marked(patch, kind))
        sets[kind] = read_dataset(work / kind)
    with DatasetWriter(work / "test", sets["outlines"].info, overwrite=True) as writer:
        for patch in sets["outlines"]:
            side = min(round(CROP_UM / mpp), *patch.labels.shape)
            y, x = ((length - side) // 2 for length in patch.labels.shape)
            writer.add_patch(replace(crop_patch(patch, x, y, side), patch_id=patch.patch_id))
    return sets | {"test": read_dataset(work / "test")}


def main() -> None:
    """Run, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--mpp", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--patches", type=int, default=4)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    sets = prepared(given.data, given.out, given.mpp)
    rows: list[dict[str, Any]] = []
    for draw in range(given.draws):
        order = np.random.default_rng([draw, 2]).permutation(len(sets["outlines"]))
        test = sets["test"].subset(sorted(order[1::2].tolist()))
        arms: dict[str, Any] = {"start": "bundled"}
        for kind in KINDS:
            train = sets[kind].subset(sorted(order[::2].tolist()))
            out = given.out / f"{kind}-{given.patches}-{draw}"
            arms[kind] = adapt(train, out=out, patches=given.patches, seed=draw, overwrite=True)
        for arm, model in arms.items():
            scores = evaluate(test, model=model, resamples=10)
            nuclei = None if arm == "start" else model.card.data[-1].instances
            rows.append({"arm": arm, "draw": draw, "nuclei": nuclei} | {key: scores[key] for key in SCORES})
            print(rows[-1], flush=True)
    print("| arm | " + " | ".join(SCORES) + " |")
    for arm in ("start", *KINDS):
        means = [statistics.mean(row[key] for row in rows if row["arm"] == arm) for key in SCORES]
        print(f"| {arm} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    if given.json:
        write_json(given.json, rows)


if __name__ == "__main__":
    main()
