"""Train the bundled model from scratch, from permissively licensed data alone.

    make bundled DATA=../shared/data

Masks teach outlines (DSB-2018 stained tissue, CC0, without the images that ``dsb2018_pairs`` keeps for testing; NuCLS,
CC0). Points teach the variety of tissue (BRCA-M2C, BSD-3): at each *refresh* the averaged network proposes the
foreground, every point is the marker of one nucleus, and what the network is sure of but nobody marked counts for
nothing. A few unlabelled pictures (CC0, Apache-2.0, BSD-3) are labelled by the network itself, unsure pixels left out.
Stain statistics are exchanged between pictures (optimal transport in optical density) and jittered.

The run is resumed from ``checkpoint.pt`` in the output folder. It takes about two hours on two processor cores with
bfloat16 tiles.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import openslide
import torch
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2hed
from skimage.segmentation import watershed
from torch import nn

from histoseed.encoders import build_encoder
from histoseed.metrics import aji, panoptic_quality
from histoseed.segmenters import EncoderEntry, ModelCard, PostProcessing, Segmenter, instance_labels, make_targets
from histoseed.segmenters.instances import energy_of
from histoseed.training import Augmentation, Picture, augment, draw_crop, recolour, representation_loss, stain_style

MPP = 0.25
TYPICAL_DIAMETER = 27.0
"""Median diameter of a nucleus in pixels at 0.25 microns per pixel; pictures of unknown scale are brought to it."""
SHARES = {"points": 0.56, "nucls": 0.14, "dsb": 0.20, "free": 0.10}
RESTYLED = {"dsb": 0.75, "points": 0.35, "nucls": 0.35, "free": 0.35}


@dataclass
class Pool:
    """Pictures of each source, and the stain statistics that any of them may be given."""

    pictures: dict[str, list[Picture]]
    points: list[tuple[np.ndarray, np.ndarray]]
    free: list[np.ndarray]
    styles: dict[str, list] = field(default_factory=dict)
    targets: list = field(default_factory=list)


def read_rgb(path: Path) -> np.ndarray:
    return np.array(Image.open(path).convert("RGB"))


def read_labels(path: Path) -> np.ndarray:
    return np.array(Image.open(path)).astype(np.int32)


def enlarged(image: np.ndarray, factor: int) -> np.ndarray:
    return image if factor == 1 else cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)


def diameter(labels: np.ndarray) -> float:
    area = np.bincount(labels.ravel())[1:]
    return float(2 * np.sqrt(np.median(area[area > 0]) / np.pi)) if (area > 0).any() else TYPICAL_DIAMETER


def read_pool(data: Path) -> Pool:
    """Everything that may be trained on."""
    kept_for_tests = {path.stem[:16] for path in (data / "dsb2018_pairs" / "images").glob("*.png")}
    dsb, nucls, points = [], [], []
    for path in sorted((data / "dsb2018_histology_cc0" / "images").glob("*.png")):
        if path.stem[:16] not in kept_for_tests:
            labels = read_labels(path.parent.parent / "labels" / path.name)
            zoom = float(np.clip(TYPICAL_DIAMETER / diameter(labels), 0.35, 2.2))
            dsb.append(Picture(read_rgb(path), labels, zoom=zoom))
    for path in sorted((data / "nucls_cc0_sample" / "images").glob("train*.png")):
        nucls.append(Picture(read_rgb(path), read_labels(path.parent.parent / "labels" / path.name)))
    folder = data / "brca_m2c_points_bsd3"
    for path in sorted((folder / "images").glob("*.png")):
        with (folder / "points_csv" / f"{path.stem}.csv").open() as stream:
            at = [(2 * float(r["x"]) + 1, 2 * float(r["y"]) + 1) for r in csv.DictReader(stream)]
        points.append((enlarged(read_rgb(path), 2), np.array(at).reshape(-1, 2)))
    pool = Pool({"dsb": dsb, "nucls": nucls, "points": [], "free": []}, points, read_unlabelled(data))
    pool.styles = {
        "dsb": [stain_style(p.image) for p in dsb],
        "nucls": [stain_style(p.image) for p in nucls],
        "points": [stain_style(image) for image, _ in points],
        "free": [stain_style(image) for image in pool.free],
    }
    pool.targets = pool.styles["points"] + pool.styles["nucls"] + pool.styles["free"]
    return pool


def read_unlabelled(data: Path) -> list[np.ndarray]:
    """Pictures without outlines, brought to about 0.25 microns per pixel."""

    def region(name: str, x: int, y: int, width: int, height: int) -> np.ndarray:
        with openslide.OpenSlide(data / "wsi_fixtures" / "real" / name) as slide:
            return np.array(slide.read_region((x, y), 0, (width, height)).convert("RGB"))

    plain = data / "unlabelled_he"
    pictures = [
        (read_rgb(plain / "instanseg_HE_example.tif"), 2),
        (read_rgb(plain / "hoverfast_tcga_tile.png"), 1),
        (read_rgb(plain / "histolab_high-nuclei-score-level0.png"), 1),
        (read_rgb(plain / "histolab_medium-nuclei-score-level0.png"), 1),
        (region("BRACS_1640_N_3_cropped.tiff", 0, 0, 650, 743), 1),
        *((region("CMU-1-Small-Region.svs", x, y, 700, 700), 2) for x, y in ((300, 300), (700, 1100), (1200, 2000))),
        *((region("TCGA-CR-7395-01A-01-TS1.svs", x, y, 700, 700), 2) for x, y in ((1500, 1500), (2400, 800))),
    ]
    return [enlarged(image, factor) for image, factor in pictures]


def predict(model: Segmenter, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Semantic probabilities (3, H, W) and distance maps (4, H, W)."""
    height, width = image.shape[:2]
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    x = nn.functional.pad(x, (0, -width % 16, 0, -height % 16), mode="reflect")
    maps = model.predict(x, dtype=torch.bfloat16)
    return maps.semantic[0, :, :height, :width], maps.distances[0, :, :height, :width]


def haematoxylin(image: np.ndarray) -> np.ndarray:
    """Rough foreground probability: haematoxylin above its surroundings. (H, W) in [0, 1]."""
    amount = cv2.GaussianBlur(rgb2hed(image)[..., 0].astype(np.float32), (0, 0), 1.5)
    mean = cv2.boxFilter(amount, -1, (129, 129))
    deviation = np.sqrt(np.maximum(cv2.boxFilter(amount * amount, -1, (129, 129)) - mean * mean, 1e-8))
    return 1 / (1 + np.exp(-3 * ((amount - mean) / deviation - 0.35)))


def outlines_of_points(
    model: Segmenter, image: np.ndarray, points: np.ndarray, stain_share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and ignore area: each point is the marker of one nucleus, the network says how far it reaches."""
    height, width = image.shape[:2]
    semantic, distances = predict(model, image)
    p = 1 - semantic[0]
    if stain_share > 0:
        p = (1 - stain_share) * p + stain_share * haematoxylin(image)
    p = cv2.GaussianBlur(p.astype(np.float32), (0, 0), 1.2)
    x = np.clip(points[:, 0].astype(int), 0, width - 1)
    y = np.clip(points[:, 1].astype(int), 0, height - 1)
    markers = np.zeros((height, width), np.int32)
    for k in range(len(points)):
        cv2.circle(markers, (int(x[k]), int(y[k])), 3, k + 1, -1)
    far = ndimage.distance_transform_edt(markers == 0)
    mask = ((p > 0.45) & (far < 60)).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    mask = ndimage.binary_fill_holes(mask).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))) > 0
    energy = energy_of(semantic, distances, PostProcessing(), MPP)
    cost = 0.004 * far.astype(np.float32) - 0.5 * energy - 0.5 * cv2.GaussianBlur(p, (0, 0), 2)
    labels = watershed(cost, markers, mask=mask | (markers > 0)).astype(np.uint16)
    labels = cv2.medianBlur(cv2.medianBlur(labels, 5), 5).astype(np.int32)
    unmarked = cv2.morphologyEx(
        ((p > 0.5) & (labels == 0)).astype(np.uint8),
        cv2.MORPH_OPEN,
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)),
    )
    _, parts = cv2.connectedComponents(unmarked)
    area = np.bincount(parts.ravel())
    sure = (area > 150) & (np.bincount(parts.ravel(), p.ravel()) / np.maximum(area, 1) > 0.75)
    sure[0] = False
    ignore = cv2.dilate(sure[parts].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    size = np.bincount(labels.ravel(), minlength=len(points) + 1)
    doubtful = (size < 90) | (size > 6000)
    doubtful[0] = False
    around = np.zeros((height, width), np.uint8)
    for k in np.flatnonzero(doubtful[1:]):
        cv2.circle(around, (int(x[k]), int(y[k])), 12, 1, -1)
    weak = doubtful[labels]
    ignore |= (around > 0) & ((labels == 0) | weak)
    labels[weak] = 0
    return labels, ignore & (labels == 0)


def outlines_of_network(model: Segmenter, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The network's own nuclei where it is sure; the rest is ignored."""
    semantic, distances = predict(model, image)
    p = 1 - semantic[0]
    labels = instance_labels(semantic, distances, PostProcessing(), MPP)
    area = np.bincount(labels.ravel())
    weak = (np.bincount(labels.ravel(), p.ravel()) / np.maximum(area, 1) < 0.8) | (area < 120)
    weak[0] = False
    ignore = weak[labels] | ((p > 0.2) & (p < 0.8) & (labels == 0))
    return np.where(weak[labels], 0, labels), ignore


def refresh(model: Segmenter, pool: Pool, step: int, first: int, second: int) -> None:
    """Draw the outlines of points and unlabelled pictures anew; the stain helps less and less."""
    share = 0.5 if step <= first else 0.3 if step <= (first + second) / 2 else 0.15 if step <= second else 0.0
    model.eval()
    pool.pictures["points"] = [
        Picture(image, labels, ignore=ignore)
        for image, at in pool.points
        for labels, ignore in [outlines_of_points(model, image, at, share)]
    ]
    pool.pictures["free"] = [
        Picture(image, labels, ignore=ignore)
        for image in pool.free
        for labels, ignore in [outlines_of_network(model, image)]
    ]


def draw_batch(pool: Pool, rng: np.random.Generator, batch: int, crop: int) -> tuple[torch.Tensor, object]:
    shares = {k: v for k, v in SHARES.items() if pool.pictures[k]}
    names, weights = list(shares), np.array(list(shares.values()))
    images, labels, ignore = [], [], []
    for _ in range(batch):
        name = names[rng.choice(len(names), p=weights / weights.sum())]
        index = int(rng.integers(len(pool.pictures[name])))
        drawn = draw_crop(pool.pictures[name][index], crop, rng, scale=(0.7, 1.4))
        image = torch.from_numpy(drawn.image).permute(2, 0, 1).float() / 255
        if rng.random() < RESTYLED[name]:
            image = recolour(image, pool.styles[name][index], pool.targets[rng.integers(len(pool.targets))])
        images.append(image)
        labels.append(drawn.labels)
        ignore.append(drawn.ignore)
    x = augment(torch.stack(images), Augmentation(), rng).to(memory_format=torch.channels_last)
    return x, make_targets(torch.from_numpy(np.stack(labels)).long(), ignore=torch.from_numpy(np.stack(ignore)))


def new_model() -> Segmenter:
    card = ModelCard(
        histoseed="", name="bundled", mpp=MPP, crop=256,
        encoder=EncoderEntry(name="bundled", weights="bundled", frozen=False, licence="Apache-2.0", commercial="yes"),
    )  # fmt: skip
    model = Segmenter(build_encoder("bundled", weights="random", seed=0), card)
    return model.to(memory_format=torch.channels_last)


def development_scores(model: Segmenter, data: Path) -> dict[str, tuple[float, float]]:
    """Mean PQ and AJI on pictures that no shipped weight is trained on, and that choose nothing by themselves."""
    model.eval()
    sets = {
        "nucls-test": [
            (p, p.parent.parent / "labels") for p in sorted((data / "nucls_cc0_sample/images").glob("test*"))
        ],
        "gbm40": [(p, p.parent.parent / "labels") for p in sorted((data / "gbm40/images").glob("*.png"))[::8]],
        "lgg": [(p, p.parent.parent / "labels_human") for p in sorted((data / "tcga_lgg_pairs/images").glob("*"))[::6]],
    }
    scores = {}
    for name, pairs in sets.items():
        rows = []
        for path, folder in pairs:
            truth, predicted = (
                read_labels(folder / path.name),
                instance_labels(*predict(model, read_rgb(path)), PostProcessing(), MPP),
            )
            rows.append((panoptic_quality(truth, predicted).pq, aji(truth, predicted)))
        scores[name] = tuple(np.mean(rows, 0).round(4).tolist())
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--crop", type=int, default=192)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--refresh", type=int, nargs="+", default=[350, 900, 1500])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    pool = read_pool(options.data)
    model, mean = new_model(), new_model()
    mean.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, weight_decay=1e-2, betas=(0.9, 0.98))
    checkpoint, start = options.out / "checkpoint.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        mean.load_state_dict(state["mean"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
        rng = np.random.default_rng([0, start])
    if start > options.refresh[0]:
        refresh(mean, pool, start, *options.refresh[:2])
    began = time.time()
    for step in range(start, options.steps):
        if step in options.refresh:
            refresh(mean, pool, step, *options.refresh[:2])
        cosine = 0.5 + 0.5 * np.cos(np.pi * step / options.steps)
        for group in optimizer.param_groups:
            group["lr"] = options.rate * min(1, step / 50) * cosine + 2e-5
        model.train()
        images, targets = draw_batch(pool, rng, options.batch, options.crop)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            maps = model(images)
        loss, parts = representation_loss(maps, targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        decay = min(0.995, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, new in zip(mean.state_dict().values(), model.state_dict().values(), strict=True):
                kept.lerp_(new, 1 - decay) if kept.dtype.is_floating_point else kept.copy_(new)
        if step % 50 == 0:
            facts = {k: round(v, 3) for k, v in parts.items()}
            print(step, round(time.time() - began), round(float(loss.detach()), 3), json.dumps(facts), flush=True)
        if step % 200 == 199 or step == options.steps - 1:
            print(step + 1, json.dumps(development_scores(mean, options.data)), flush=True)
            state = {
                "model": model.state_dict(),
                "mean": mean.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step + 1,
            }
            torch.save(state, checkpoint.with_suffix(".tmp"))
            checkpoint.with_suffix(".tmp").replace(checkpoint)


if __name__ == "__main__":
    main()
