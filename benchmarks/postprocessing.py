"""How many nuclei a second become instances with classes and outlines, on one core.

The maps are those of a 1024 x 1024 tile at 0.25 microns per pixel with about 1,200 nuclei: blurred, noisy targets of
wobbly ellipses, many of them touching. Beside histoseed's post-processing stands the common HoVer-type one, written
here from its published description (Graham et al. 2019; parameters of the 40x variant): gradients of the horizontal and
vertical map, marker-controlled watershed, and a Python loop over the instances for contour, centroid and class.

Times are processor seconds of one thread, the best of several runs, so that other work on the machine disturbs little.
Run ``python benchmarks/postprocessing.py [--json PATH]``.
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

import cv2
import numpy as np
import torch
from scipy import ndimage
from skimage.measure import regionprops
from skimage.segmentation import watershed

from histoseed.geometry import label_to_polygons
from histoseed.metrics import panoptic_quality
from histoseed.segmenters import (
    PostProcessing,
    class_probabilities,
    foreground_scores,
    instance_labels,
    make_targets,
)

Image = np.ndarray[Any, np.dtype[np.int32]]
Floats = np.ndarray[Any, np.dtype[np.float32]]
MPP = 0.25
CLASSES = 5
TARGET = 5000


def nuclei(size: int, count: int, seed: int) -> Image:
    """Wobbly ellipses of 3.5 to 6.5 um; later ones keep off the pixels of earlier ones."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((size, size), np.int32)
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    made = 0
    for _ in range(8 * count):
        wobble = 1 + sum(rng.normal(0, 0.06) * np.cos(m * turn + rng.uniform(0, 6.3)) for m in (2, 3, 4))
        angle, centre = rng.uniform(0, np.pi), rng.uniform(0, size, 2)
        x, y = rng.uniform(7, 13, (2, 1)) * wobble * np.stack([np.cos(turn), np.sin(turn)])
        rotated = np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], 1)
        outline = np.round(rotated + centre).astype(np.int32)
        x0, y0 = np.maximum(outline.min(0), 0)
        x1, y1 = np.minimum(outline.max(0) + 1, size)
        if x1 - x0 < 8 or y1 - y0 < 8:
            continue
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(mask, [outline - [x0, y0]], 1)
        there = labels[y0:y1, x0:x1]
        if (there[mask > 0] > 0).mean() < 0.12:
            made += 1
            there[(mask > 0) & (there == 0)] = made
        if made == count:
            break
    return labels


def maps_of(labels: Image, seed: int) -> tuple[Floats, Floats, Floats]:
    """Semantic, distance and class maps of a network that is good, not perfect."""
    rng = np.random.default_rng(seed)

    def blurred(plane: np.ndarray[Any, Any], sigma: float) -> Floats:
        return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(plane, np.float32), (0, 0), sigma))

    targets = make_targets(torch.from_numpy(labels)[None].long())
    hot = np.moveaxis(np.eye(3, dtype=np.float32)[targets.semantic[0].numpy()], -1, 0)
    logits = np.stack([8 * blurred(plane, 1.0) + 1.5 * blurred(rng.normal(size=plane.shape), 2.0) for plane in hot])
    semantic = np.exp(logits - logits.max(0))
    distances = np.stack(
        [blurred(d, 0.8) + 0.15 * blurred(rng.normal(size=d.shape), 1.5) for d in targets.distances[0].numpy()]
    )
    kind = rng.integers(1, CLASSES, labels.max() + 1)[labels] * (labels > 0)
    chances = 0.7 * np.moveaxis(np.eye(CLASSES, dtype=np.float32)[kind], -1, 0) + 0.3 / CLASSES
    return semantic / semantic.sum(0), np.clip(distances, -1, 1).astype(np.float32), chances.astype(np.float32)


def ours(semantic: Floats, distances: Floats, classes: Floats) -> tuple[Image, list[Any]]:
    """Maps -> labels, outlines, classes, scores."""
    labels = instance_labels(semantic, distances, PostProcessing(), MPP)
    _, outlines = label_to_polygons(labels)
    return labels, [outlines, class_probabilities(labels, classes), foreground_scores(labels, semantic)]


def _unit(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return cv2.normalize(values, None, alpha=0, beta=1, norm_type=cv2.NORM_MINMAX, dtype=cv2.CV_32F)


def _without_small(labels: np.ndarray[Any, Any], least: int) -> np.ndarray[Any, Any]:
    area = np.bincount(labels.ravel())
    labels[(area < least)[labels]] = 0
    return labels


def hover_type(semantic: Floats, distances: Floats, classes: Floats) -> tuple[Image, list[Any]]:
    """The common post-processing: watershed on Sobel edges of two maps, then a loop over instances."""
    blob = ndimage.label(1 - semantic[0] >= 0.5)[0]
    blob = (_without_small(blob, 10) > 0).astype(np.int32)
    edges = [
        1 - _unit(cv2.Sobel(_unit(d), cv2.CV_64F, dx, 1 - dx, ksize=21))
        for d, dx in ((distances[0], 1), (distances[1], 0))
    ]
    edge = np.clip(np.maximum(*edges) - (1 - blob), 0, None)
    height = -cv2.GaussianBlur((1 - edge) * blob, (3, 3), 0)
    marker = ndimage.binary_fill_holes(np.clip(blob - (edge >= 0.4), 0, 1)).astype(np.uint8)
    marker = cv2.morphologyEx(marker, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    marker = _without_small(ndimage.label(marker)[0], 10)
    labels = watershed(height, markers=marker, mask=blob).astype(np.int32)
    types = classes.argmax(0)
    objects = []
    for region in regionprops(labels):
        y0, x0, y1, x1 = region.bbox
        mask = (labels[y0:y1, x0:x1] == region.label).astype(np.uint8)
        moments = cv2.moments(mask)
        contours, _ = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
        kinds, counts = np.unique(types[y0:y1, x0:x1][mask > 0], return_counts=True)
        ranked = sorted(zip(kinds.tolist(), counts.tolist(), strict=True), key=lambda pair: -pair[1])
        kind = ranked[1][0] if ranked[0][0] == 0 and len(ranked) > 1 else ranked[0][0]
        centre = (moments["m10"] / moments["m00"] + x0, moments["m01"] / moments["m00"] + y0)
        objects.append({
            "contour": np.squeeze(contours[0]) + np.array([x0, y0]), "centroid": centre, "type": kind,
            "type_prob": dict(ranked)[kind] / (mask.sum() + 1e-6),
        })  # fmt: skip
    return labels, objects


def best_seconds(work: Callable[[], Any], runs: int) -> float:
    times = []
    for _ in range(runs):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="PATH", help="also write the figures as JSON; - is standard output")
    parser.add_argument("--count", type=int, default=1200, help="nuclei on the tile")
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    truth = nuclei(1024, arguments.count, 0)
    maps = maps_of(truth, 1)
    rows = {}
    for name, method in (("histoseed", ours), ("HoVer-type loop", hover_type)):
        labels, _ = method(*maps)
        seconds = best_seconds(lambda method=method: method(*maps), arguments.runs)
        count = int(labels.max())
        rows[name] = {
            "nuclei": count, "seconds": round(seconds, 4), "nuclei_per_second": round(count / seconds),
            "pq": round(panoptic_quality(truth, labels).pq, 4),
        }  # fmt: skip
    ratio = rows["histoseed"]["nuclei_per_second"] / rows["HoVer-type loop"]["nuclei_per_second"]
    out = sys.stderr if arguments.json == "-" else sys.stdout
    print(f"1024 x 1024, {truth.max()} nuclei, {CLASSES - 1} classes, one core of {platform.machine()}", file=out)
    for name, row in rows.items():
        print(f"{name:16} {row['nuclei_per_second']:>7,} nuclei/s   PQ against the truth {row['pq']:.3f}", file=out)
    print(f"ratio {ratio:.1f}; target {TARGET:,} nuclei/s", file=out)
    figures = {"size": 1024, "truth": int(truth.max()), "target": TARGET, "ratio": round(ratio, 2), "methods": rows}
    if arguments.json:
        text = json.dumps(figures, indent=2)
        print(text) if arguments.json == "-" else Path(arguments.json).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
