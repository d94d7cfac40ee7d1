"""How long the metrics take on one 1024 x 1024 pair of label images with about 1,000 nuclei, on one core.

Each metric stands beside a straightforward implementation with loops over objects and full-size masks, written here
from the definitions. Both must agree. Run ``python benchmarks/metrics.py [--json PATH]``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from histoseed.metrics import (
    Accumulator,
    aji,
    aji_plus,
    aji_statistics,
    contingency,
    detection_f1,
    dice,
    failures,
    hausdorff95,
    panoptic_quality,
    panoptic_statistics,
)

Image = np.ndarray[Any, np.dtype[np.int32]]
MPP = 0.25
TARGET_MS = 50.0


def nuclei(size: int, count: int, seed: int) -> tuple[Image, Image]:
    """Truth: jittered ellipses on a grid. Prediction: moved, resized, some missing, merged or invented."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(count)))
    step = size / side
    truth, predicted = np.zeros((2, size, size), dtype=np.int32)
    cells = np.sort(rng.permutation(side * side)[:count])  # so that label - 1 is mostly the left neighbour
    for label, cell in enumerate(cells, 1):
        centre = (np.array(divmod(int(cell), side)) + 0.5) * step + rng.normal(0, step / 8, 2)
        axes, angle = rng.uniform(0.25, 0.45, 2) * step, rng.uniform(0, np.pi)
        _draw(truth, centre, axes, angle, label)
        if rng.random() > 0.05:
            name = label - 1 if label > 1 and rng.random() < 0.03 else label
            moved = centre + rng.normal(0, step / 20, 2)
            _draw(predicted, moved, axes * rng.uniform(0.8, 1.2, 2), angle + rng.normal(0, 0.1), name)
    for label in range(count + 1, count + 1 + count // 20):
        _draw(predicted, rng.uniform(0, size, 2), rng.uniform(0.2, 0.3, 2) * step, 0.0, label)
    return truth, predicted


def _draw(image: Image, centre: Any, axes: Any, angle: float, label: int) -> None:
    reach = int(np.ceil(max(axes))) + 1
    low = np.maximum(np.floor(centre).astype(int) - reach, 0)
    high = np.minimum(np.floor(centre).astype(int) + reach + 1, image.shape)
    y, x = np.mgrid[low[0] : high[0], low[1] : high[1]]
    dy, dx = y + 0.5 - centre[0], x + 0.5 - centre[1]
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    image[low[0] : high[0], low[1] : high[1]][(along / axes[0]) ** 2 + (across / axes[1]) ** 2 < 1] = label


def _masks(image: Image) -> dict[int, Any]:
    return {int(label): image == label for label in np.unique(image) if label}


def _loop_ious(truth: Image, predicted: Image) -> tuple[Any, Any, Any, Any, Any]:
    true, pred = _masks(truth), _masks(predicted)
    names = list(pred)
    shared = np.zeros((len(true), len(pred)))
    joined = np.ones((len(true), len(pred)))
    for row, mask in enumerate(true.values()):
        for label in np.unique(predicted[mask]):
            if label:
                column = names.index(int(label))
                shared[row, column] = (mask & pred[int(label)]).sum()
                joined[row, column] = (mask | pred[int(label)]).sum()
    sizes = [np.array([mask.sum() for mask in side.values()]) for side in (true, pred)]
    return shared / joined, shared, joined, *sizes


def loop_pq(truth: Image, predicted: Image) -> float:
    iou = _loop_ious(truth, predicted)[0]
    return float(iou[iou > 0.5].sum() / (sum(iou.shape) / 2))


def loop_aji(truth: Image, predicted: Image) -> float:
    iou, shared, joined, true, pred = _loop_ious(truth, predicted)
    chosen = [(row, int(iou[row].argmax())) for row in range(len(iou)) if iou[row].max() > 0]
    return _loop_aggregate(chosen, shared, joined, true, pred)


def loop_aji_plus(truth: Image, predicted: Image) -> float:
    iou, shared, joined, true, pred = _loop_ious(truth, predicted)
    chosen = [(r, c) for r, c in zip(*linear_sum_assignment(-iou), strict=True) if iou[r, c] > 0]
    return _loop_aggregate(chosen, shared, joined, true, pred)


def _loop_aggregate(chosen: list[tuple[int, int]], shared: Any, joined: Any, true: Any, pred: Any) -> float:
    rows, columns = {row for row, _ in chosen}, {column for _, column in chosen}
    union = sum(joined[pair] for pair in chosen)
    union += sum(area for row, area in enumerate(true) if row not in rows)
    union += sum(area for column, area in enumerate(pred) if column not in columns)
    return float(sum(shared[pair] for pair in chosen) / union)


def loop_pq_and_aji(truth: Image, predicted: Image) -> tuple[float, float]:
    return loop_pq(truth, predicted), loop_aji(truth, predicted)


def loop_dice(truth: Image, predicted: Image) -> float:
    return float(2 * ((truth > 0) & (predicted > 0)).sum() / ((truth > 0).sum() + (predicted > 0).sum()))


def loop_detection(truth: Image, predicted: Image) -> float:
    sides = [
        np.array([[c.mean() for c in np.nonzero(mask)] for mask in _masks(i).values()]) for i in (truth, predicted)
    ]
    far = 1e6
    distance = np.array([[np.hypot(*(t - p)) * MPP for p in sides[1]] for t in sides[0]])
    pairs = linear_sum_assignment(np.where(distance <= 3.0, distance, far))
    tp = int((distance[pairs] <= 3.0).sum())
    return 2 * tp / (len(sides[0]) + len(sides[1]))


def loop_hausdorff(truth: Image, predicted: Image) -> float:
    found = []
    for mask in _masks(truth).values():
        for label in np.unique(predicted[mask]):
            other = predicted == label
            if label and (mask & other).sum() > 0.5 * (mask | other).sum():
                found.append(_loop_distance(mask, other))
    return float(np.mean(found))


def _loop_distance(mask: Any, other: Any) -> float:
    box = ndimage.find_objects((mask | other).astype(int))[0]
    edges = [m[box] & ~ndimage.binary_erosion(np.pad(m, 1))[1:-1, 1:-1][box] for m in (mask, other)]
    away = [ndimage.distance_transform_edt(~edge) for edge in edges]
    return float(max(np.percentile(away[1][edges[0]], 95), np.percentile(away[0][edges[1]], 95)))


def pq_and_aji(truth: Image, predicted: Image) -> tuple[float, float]:
    table = contingency(truth, predicted)
    return panoptic_statistics(table).quality().pq, aji_statistics(table).ratio()


def everything(truth: Image, predicted: Image) -> Any:
    kinds = np.arange(max(truth.max(), predicted.max()) + 1) % 3 + 1
    accumulator = Accumulator(classes=("a", "b", "c"), mpp=MPP)
    return accumulator.update(truth, predicted, truth_classes=kinds, predicted_classes=kinds).compute()


def intervals(truth: Image, predicted: Image) -> Any:
    """2,000 resamples of 100 images in 25 groups."""
    accumulator = Accumulator(mpp=MPP, hausdorff=False)
    for number in range(100):
        corner = slice(number, number + 128)
        accumulator.update(truth[corner, corner], predicted[corner, corner], group=str(number // 4))
    start = time.perf_counter()
    accumulator.intervals()
    return time.perf_counter() - start


CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any] | None]] = {
    "PQ + AJI": (pq_and_aji, loop_pq_and_aji),
    "PQ": (lambda t, p: panoptic_quality(t, p).pq, loop_pq),
    "AJI": (aji, loop_aji),
    "AJI+": (aji_plus, loop_aji_plus),
    "Dice": (dice, loop_dice),
    "detection F1": (lambda t, p: detection_f1(t, p, mpp=MPP).f1, loop_detection),
    "detection F1, HoVer-Net pairing": (
        lambda t, p: detection_f1(t, p, mpp=MPP, matching="least-distance").f1,
        None,
    ),
    "Hausdorff 95 %": (hausdorff95, loop_hausdorff),
    "failures": (failures, None),
    "all scores, 3 classes": (everything, None),
}


def best_of(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Shortest wall time in milliseconds, and the last result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        times.append(1000 * (time.perf_counter() - start))
    return min(times), result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--nuclei", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    truth, predicted = nuclei(options.size, options.nuclei, seed=0)
    counts = [len(np.unique(image)) - 1 for image in (truth, predicted)]
    print(f"{options.size} x {options.size} pixels, {counts[0]} nuclei, {counts[1]} predicted")
    print(f"{'metric':34}{'ms':>10}{'loops, ms':>12}{'ratio':>9}   value")
    rows = []
    for name, (ours, loops) in CASES.items():
        milliseconds, value = best_of(lambda ours=ours: ours(truth, predicted), options.repeats)
        row: dict[str, Any] = {"metric": name, "ms": milliseconds, "loops_ms": None, "ratio": None, "value": None}
        if isinstance(value, float | tuple):
            row["value"] = value
        if loops is not None:
            row["loops_ms"], reference = best_of(lambda loops=loops: loops(truth, predicted), 1)
            row["ratio"] = row["loops_ms"] / milliseconds
            if not np.allclose(value, reference, rtol=1e-9):
                print(f"{name}: {value} is not the {reference} of the loops", file=sys.stderr)
                return 1
        rows.append(row)
        against = "" if loops is None else f"{row['loops_ms']:12.0f}{row['ratio']:8.1f}x"
        shown = "" if row["value"] is None else np.round(value, 4)
        print(f"{name:34}{milliseconds:10.1f}{against or ' ' * 21}   {shown}")
    seconds = intervals(truth, predicted)
    print(f"bootstrap of 100 images, 2,000 resamples: {seconds:.2f} s")
    met = rows[0]["ms"] <= TARGET_MS
    print(f"PQ + AJI in {rows[0]['ms']:.1f} ms; target {TARGET_MS:.0f} ms: {'met' if met else 'missed'}")
    if options.json:
        figures = {"machine": platform.processor() or platform.machine(), "size": options.size, "objects": counts}
        figures |= {"target_ms": TARGET_MS, "met": met, "rows": rows, "bootstrap_s": seconds}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
