"""Few annotations: adapting the bundled model against training the same network from scratch.

    python benchmarks/few_annotations.py --data ../shared/data/monuseg16 --out runs/few --json few.json --plot few.png

Protocol. The 16 images (one a patient) are dealt to 8 training and 8 test slides, anew for each draw. N annotated
patches are N crops of 64 um of the training slides, nested over N, drawn as ``adapt --patches N --seed DRAW`` does.
Both arms see the same crops in batches of 4, and are scored on the same central 500 x 500 pixels of the 8 test slides,
protocol "histoseed". All layers are trained in both arms: adapting with the defaults of ``histoseed adapt`` (80 steps,
the half-way average with the start), from scratch, from random weights, with 2.5 times as many steps.
No patch is set aside for validation: the number of steps is fixed. The images are CC BY-NC-SA: for measuring only.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from histoseed.datasets import Dataset, DatasetInfo, DatasetWriter, import_labels, read_dataset
from histoseed.files import write_bytes, write_json
from histoseed.pictures import learning_curve
from histoseed.workflows.adapt import adapt
from histoseed.workflows.evaluate import evaluate

SCORES = ("pq", "aji", "f1_detection")
SIDE = 500
BATCH = 4


def prepared(source: Path, work: Path) -> Path:
    """The images as a data set; central crops for testing in another."""
    stage = work / "source"
    stage.mkdir(parents=True)
    for name in ("images", "labels"):
        shutil.copytree(source / name, stage / name)
    with (stage / "groups.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["patch_id", "patient", "slide"])
        for path in sorted((stage / "images").iterdir()):
            writer.writerow([path.stem, "-".join(path.stem.split("-")[:3]), path.stem])
    whole = import_labels(stage, work / "whole", mpp=0.25, name="monuseg16", licence="cc-by-nc-sa-4.0")
    with DatasetWriter(work / "centre", DatasetInfo(name="monuseg16 centre", licence="cc-by-nc-sa-4.0")) as centre:
        for patch in whole:
            y, x = ((side - SIDE) // 2 for side in patch.labels.shape)
            window = (slice(y, y + SIDE), slice(x, x + SIDE))
            centre.add(
                patch.patch_id, patch.image[window], patch.labels[window], mpp=patch.mpp, patient=patch.patient,
                slide=patch.slide,
            )  # fmt: skip
    return work


def deal(data: Dataset, draw: int) -> tuple[list[str], list[str]]:
    """Eight training and eight test slides."""
    groups = sorted(data.patches["group"].unique().to_list())
    order = [groups[i] for i in np.random.default_rng([draw, 1]).permutation(len(groups))]
    return order[: len(order) // 2], order[len(order) // 2 :]


def run(arm: str, patches: int, draw: int, work: Path, steps: dict[str, int]) -> dict[str, Any]:
    """One adaptation and its scores."""
    whole, centre = read_dataset(work / "whole"), read_dataset(work / "centre")
    train, test = deal(whole, draw)
    row: dict[str, Any] = {"arm": arm, "patches": patches, "draw": draw, "test_slides": test}
    model: Any = "bundled"
    began = time.perf_counter()
    if patches:
        out = work / "models" / f"{arm}-{patches}-{draw}"
        how: dict[str, Any] = (
            {"encoder": "bundled"}
            if arm == "adapted"
            else {"encoder": "bundled", "weights": "random", "method": "full", "learning_rate": 2e-3}
        )
        model = adapt(
            whole.select(groups=train),
            out=out,
            patches=patches,
            seed=draw,
            steps=steps[arm],
            batch=BATCH,
            overwrite=True,
            **how,
        )
        row["instances"] = model.card.data[-1].instances
        row["start_share"] = model.card.training.get("start_share")
    row["seconds_training"] = round(time.perf_counter() - began, 1)
    scores = evaluate(centre.select(groups=test), model=model, resamples=200)
    return row | {key: scores[key] for key in SCORES} | {"protocol": scores["protocol"], "steps": steps.get(arm)}


def summary(rows: list[dict[str, Any]]) -> None:
    """Print mean and standard deviation over the draws."""
    print(f"{'arm':<14}{'patches':>8}{'nuclei':>10}" + "".join(f"{key:>22}" for key in SCORES))
    for arm, patches in dict.fromkeys((r["arm"], r["patches"]) for r in rows):
        chosen = [r for r in rows if (r["arm"], r["patches"]) == (arm, patches)]
        nuclei = statistics.mean(r.get("instances", 0) for r in chosen)
        cells = [
            f"{statistics.mean(v):.3f} +- {statistics.stdev(v) if len(v) > 1 else 0:.3f}"
            for v in ([r[key] for r in chosen] for key in SCORES)
        ]
        print(f"{arm:<14}{patches:>8}{nuclei:>10.0f}" + "".join(f"{cell:>22}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="Folder; finished runs in it are not repeated.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--patches", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--steps-adapted", type=int, default=80)
    parser.add_argument("--steps-scratch", type=int, default=200)
    options = parser.parse_args()
    steps = {"adapted": options.steps_adapted, "scratch": options.steps_scratch}
    if not (options.out / "centre").is_dir():
        options.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=options.out) as folder:
            prepared(options.data, Path(folder))
            for name in ("whole", "centre"):
                (Path(folder) / name).replace(options.out / name)
    done = options.out / "rows.json"
    rows: list[dict[str, Any]] = json.loads(done.read_text()) if done.is_file() else []
    plan = [("adapted", 0, draw) for draw in range(options.draws)]
    plan += [(a, n, draw) for draw in range(options.draws) for n in options.patches for a in ("adapted", "scratch")]
    for arm, patches, draw in plan:
        if any((r["arm"], r["patches"], r["draw"]) == (arm, patches, draw) for r in rows):
            continue
        rows.append(run(arm, patches, draw, options.out, steps))
        write_json(done, rows)
        print({k: v for k, v in rows[-1].items() if k != "test_slides"}, flush=True)
    summary(rows)
    if options.json:
        write_json(options.json, rows)
    if options.plot:
        names = {"adapted": "bundled model, adapted", "scratch": "same network from scratch"}
        arms = {
            name: {n: [r["pq"] for r in rows if (r["arm"], r["patches"]) == (arm, n)] for n in options.patches}
            for arm, name in names.items()
        }
        zero = statistics.mean(r["pq"] for r in rows if r["patches"] == 0)
        write_bytes(options.plot, learning_curve(arms, score="PQ", baselines={"bundled model as it is": zero}))


if __name__ == "__main__":
    main()
