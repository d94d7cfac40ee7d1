"""Train the head of the bundled promptable model, from permissively licensed data alone.

    python scripts/train_prompt.py --data ../shared/data --out runs/prompt

The bundled segmenter stays frozen and gives the features; the head learns from the outlines of DSB-2018 stained tissue
(CC0) and NuCLS (CC0), and from outlines that the bundled segmenter draws around the points of BRCA-M2C (BSD-3). Larger
structures come from composites: a region of one tissue laid into another, with a smooth outline that is known exactly.
Every step draws fresh crops, stains, scales and prompts. The run is resumed from ``checkpoint.pt``.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
import train_bundled as bundled

from histoseed.bundled import bundled_folder
from histoseed.geometry import Region
from histoseed.prompting import Window
from histoseed.prompting.masks import mask_of
from histoseed.prompting.roi.card import RoiCard
from histoseed.prompting.roi.encoding import prompt_maps
from histoseed.prompting.roi.model import RoiPrompter
from histoseed.prompting.roi.network import RoiHead
from histoseed.prompting.roi.sampling import cell_centres, read_grids, shrunk
from histoseed.prompting.roi.squares import square_of_box
from histoseed.prompting.roi.trunk import SharedFeatures, coarse_channels, fine_channels, shared_features
from histoseed.prompting.simulate import SimulatedUser, prompt_generator
from histoseed.prompting.simulate.lengths import ObjectSizes
from histoseed.prompting.simulate.rough import SURE, rough_mask
from histoseed.segmenters import Segmenter, load_segmenter
from histoseed.training import Augmentation, Picture, StainStyle, augment, draw_crop, recolour

CROP = 256
CELLS = 48
LEVELS = 4
SHARES = {"dsb": 0.42, "points": 0.25, "nucls": 0.13, "composite": 0.20}
SCALE = (0.45, 2.6)
"""Zoom of the crops: the model is served at more than one resolution, and nuclei differ."""
TYPICAL = 32.0
"""Pixels at 0.25 um that an object is expected to measure, as in the card's window."""
JITTER = ((0.0, 0.1), (6.0, 0.4), (12.0, 0.5))
"""Pixels at 0.25 um by which the sides of a box are moved at most, and how often."""
DRAWN = {"loose": 0.3, "scribble": 0.2, "lasso": 0.15, "polygon": 0.15, "morphology": 0.15, "exact": 0.05}
"""Rough masks that users draw, and how often."""
TRUST = {"dsb": 1.0, "points": 0.5, "nucls": 1.0, "composite": 0.5}


@dataclass
class Sample:
    """One object of one crop, and a prompt for it; pixels of the crop."""

    crop: int
    label: int
    square: np.ndarray
    box: np.ndarray
    points: np.ndarray
    labels: np.ndarray
    mask: np.ndarray | None
    trust: float
    ambiguous: bool


def blob(size: int, rng: np.random.Generator) -> np.ndarray:
    """A smooth random region that lies within a square crop. (size, size) bool."""
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    radius = np.ones_like(angle)
    for k in range(2, 9):
        radius += rng.normal(0, 0.35 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    reach = np.exp(rng.uniform(np.log(0.06), np.log(0.36))) * size
    radius = np.clip(radius, 0.3, 1.8) * reach
    stretch = np.exp(rng.uniform(-0.4, 0.4))
    outline = np.stack([radius * np.cos(angle) * stretch, radius * np.sin(angle) / stretch], 1)
    turn = rng.uniform(0, 2 * np.pi)
    outline = outline @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    low, high = outline.min(0), outline.max(0)
    free = np.maximum(size - (high - low) - 8, 0)
    outline += 4 - low + rng.random(2) * free
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
    return mask > 0


def worsened(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A picture as a poor scanner or a pale stain leaves it: where the image says little, the box must say more."""
    x = image.permute(1, 2, 0).numpy()
    if rng.random() < 0.3:
        x = cv2.GaussianBlur(x, (0, 0), float(rng.uniform(0.5, 2.2)))
    if rng.random() < 0.25:
        small = 1 / rng.uniform(1.5, 3.0)
        x = cv2.resize(cv2.resize(x, None, fx=small, fy=small, interpolation=cv2.INTER_AREA), x.shape[1::-1])
    if rng.random() < 0.35:
        middle = x.mean((0, 1), keepdims=True)
        x = middle + (x - middle) * rng.uniform(0.35, 1.2) + rng.uniform(-0.08, 0.08)
    if rng.random() < 0.3:
        x = np.clip(x, 0, 1) ** np.exp(rng.normal(0, 0.25, 3))
    if rng.random() < 0.2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))]
        stored = cv2.imencode(".jpg", (np.clip(x, 0, 1) * 255).astype(np.uint8), quality)[1]
        x = cv2.imdecode(stored, cv2.IMREAD_COLOR).astype(np.float32) / 255
    return torch.from_numpy(np.ascontiguousarray(np.clip(x, 0, 1), np.float32)).permute(2, 0, 1)


Row = tuple[Sample, np.ndarray, np.ndarray]
"""A sample, the part of the crop around its object (bool), and where that starts (x, y)."""


Drawn = tuple[torch.Tensor, np.ndarray, np.ndarray]
"""Image, labels, what counts for nothing."""


class Source:
    """Crops of every kind, drawn at random."""

    def __init__(self, data: Path, segmenter: Segmenter, kept: Path) -> None:
        self.pool = bundled.read_pool(data)
        self.pool.pictures["points"] = self.outlines(segmenter, kept)
        self.wide = [Picture(image, np.zeros(image.shape[:2], np.int32)) for image in self.pool.free]
        self.wide += [Picture(image, np.zeros(image.shape[:2], np.int32)) for image, _ in self.pool.points]
        self.wide_styles = self.pool.styles["free"] + self.pool.styles["points"]

    def outlines(self, segmenter: Segmenter, kept: Path) -> list[Picture]:
        """Outlines that the bundled segmenter draws around points; minutes, so they are kept on disk."""
        pictures = []
        for index, (image, at) in enumerate(self.pool.points):
            path = kept / f"{index}.npz"
            if not path.exists():
                labels, ignore = bundled.outlines_of_points(segmenter, image, at, 0.0)
                kept.mkdir(parents=True, exist_ok=True)
                np.savez_compressed(path, labels=labels.astype(np.uint16), ignore=ignore)
            with np.load(path) as stored:
                pictures.append(Picture(image, stored["labels"].astype(np.int32), ignore=stored["ignore"]))
        return pictures

    def restyled(self, image: np.ndarray, style: StainStyle, share: float, rng: np.random.Generator) -> torch.Tensor:
        """A picture as a tensor, some of them with the stain statistics of another one."""
        x = torch.from_numpy(image).permute(2, 0, 1).float() / 255
        if rng.random() < share:
            x = recolour(x, style, self.pool.targets[rng.integers(len(self.pool.targets))])
        return x

    def plain(self, name: str, scale: float, rng: np.random.Generator) -> Drawn:
        """A crop of an annotated picture."""
        index = int(rng.integers(len(self.pool.pictures[name])))
        drawn = draw_crop(self.pool.pictures[name][index], CROP, rng, scale=(scale, scale))
        style = self.pool.styles[name][index]
        return self.restyled(drawn.image, style, bundled.RESTYLED[name], rng), drawn.labels, drawn.ignore

    def composite(self, scale: float, rng: np.random.Generator) -> Drawn:
        """Two tissues at one low magnification, with one region of the second laid into the first."""
        parts = []
        for _ in range(2):
            index = int(rng.integers(len(self.wide)))
            drawn = draw_crop(self.wide[index], CROP, rng, scale=(scale, scale * 1.2))
            parts.append(self.restyled(drawn.image, self.wide_styles[index], 0.5, rng))
        inside = blob(CROP, rng)
        soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), float(rng.uniform(0.5, 2.5)))
        image = torch.lerp(parts[0], parts[1], torch.from_numpy(soft))
        return image, inside.astype(np.int32), np.zeros_like(inside)

    def crowded(self, image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """A thick section: other tissue shines through, paler."""
        other = draw_crop(self.wide[int(rng.integers(len(self.wide)))], CROP, rng, scale=(0.6, 2.4)).image
        layer = torch.from_numpy(other).permute(2, 0, 1).float() / 255
        return image * layer.clamp_min(1 / 255) ** float(rng.uniform(0.1, 0.5))

    def draw(
        self, count: int, rng: np.random.Generator
    ) -> tuple[torch.Tensor, list[np.ndarray], list[np.ndarray], list[tuple[str, float]]]:
        """Crops of any kind: images (B, 3, S, S), labels, what counts for nothing, and kind and zoom of each."""
        names = list(SHARES)
        images, labels, ignore, kinds = [], [], [], []
        for _ in range(count):
            name = names[rng.choice(len(names), p=list(SHARES.values()))]
            low, high = (0.3, 1.2) if name == "composite" else SCALE
            scale = float(np.exp(rng.uniform(np.log(low), np.log(high))))
            image, marked, left = self.composite(scale, rng) if name == "composite" else self.plain(name, scale, rng)
            image = worsened(image, rng)
            images.append(self.crowded(image, rng) if rng.random() < 0.25 else image)
            labels.append(marked)
            ignore.append(left)
            kinds.append((name, scale))
        return augment(torch.stack(images), Augmentation(), rng), labels, ignore, kinds


def rough(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A mask prompt as signed logits on the part of the crop: what a user draws, or what a model answered before."""
    if rng.random() < 0.8:
        rows, columns = np.nonzero(mask)
        longest = float(max(np.ptp(rows), np.ptp(columns)) + 1)
        sizes = ObjectSizes(float(np.sqrt(mask.sum() * 4 / np.pi)), longest)
        drawn = rough_mask(mask, rng.choice(list(DRAWN), p=list(DRAWN.values())), sizes, rng)
        if rng.random() < 0.3:
            by = rng.uniform(-0.3, 0.3, 2) * sizes.diameter
            moved = ndimage.shift(drawn, by.round(), order=0)
            drawn = moved if (moved & mask).any() else drawn
        return np.where(drawn, SURE, -SURE).astype(np.float32)
    size = np.sqrt(mask.sum())
    noise = ndimage.gaussian_filter(rng.standard_normal(mask.shape), max(1.0, 0.1 * size))
    noise *= 0.12 * size / max(noise.std(), 1e-6)
    depth = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    sloppy = depth + noise + rng.normal(0, 0.08 * size)
    return np.clip((sloppy if (sloppy > 0).any() else depth) * 2, -8, 8).astype(np.float32)


def prompt_for(
    mask: np.ndarray, corner: np.ndarray, crop: int, label: int, scale: float, rng: np.random.Generator
) -> Sample:
    """A fresh prompt for one object; ``mask`` is its part of the crop with a wide rim, ``corner`` where that starts."""
    typical = TYPICAL * scale
    ys, xs = np.nonzero(mask)
    low, high = np.array([xs.min(), ys.min()]) + corner, np.array([xs.max() + 1, ys.max() + 1]) + corner
    diameter = float(np.sqrt(len(xs) * 4 / np.pi))
    which = rng.choice(["box", "box+points", "click", "points", "mask"], p=[0.42, 0.13, 0.2, 0.11, 0.14])
    box = np.full(4, np.nan)
    given = None
    if which.startswith("box"):
        most = JITTER[rng.choice(len(JITTER), p=[share for _, share in JITTER])][0]
        reach = min(rng.uniform(0, most) * scale, 0.5 * diameter)
        jitter = rng.uniform(-reach, reach, 4)
        box = np.concatenate([low, high]) + jitter
        if box[2] - box[0] < 3 or box[3] - box[1] < 3:
            box = np.concatenate([low, high]).astype(float)
        square = square_of_box(box, typical)
        given = rough(mask, rng) if rng.random() < 0.1 else None
    elif which == "mask":
        given = rough(mask, rng)
        shown_y, shown_x = np.nonzero(given > 0)
        shown = np.array([shown_x.min(), shown_y.min(), shown_x.max() + 1, shown_y.max() + 1], float)
        square = square_of_box(shown + np.tile(corner, 2), typical)
    else:
        square = None
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    weight = depth.ravel() ** rng.choice([1.0, 4.0], p=[0.4, 0.6])
    positives = {
        "box": 0,
        "box+points": int(rng.integers(0, 3)),
        "click": 1,
        "points": int(rng.integers(1, 4)),
        "mask": 0,
    }[which]
    negatives = {
        "box": 0,
        "box+points": int(rng.integers(0, 3)),
        "click": 0,
        "points": int(rng.integers(0, 4)),
        "mask": int(rng.integers(0, 2)),
    }[which]
    points, labels = [], []
    if positives:
        for at in rng.choice(weight.size, positives, p=weight / weight.sum()):
            points.append(np.array([at % mask.shape[1], at // mask.shape[1]]) + corner + rng.random(2))
            labels.append(1)
    if square is None:
        usual = diameter < 1.4 * typical
        side = 2 * typical * np.exp(rng.uniform(-0.45, 0.45)) if usual else diameter * np.exp(rng.uniform(0.35, 0.9))
        centre = (np.min(points, 0) + np.max(points, 0)) / 2
        square = np.array([*(centre - side / 2), side])
    if negatives:
        around = ~mask & (ndimage.distance_transform_edt(~mask) < 0.6 * diameter + 2)
        choice = np.flatnonzero(around)
        for at in rng.choice(choice, min(negatives, len(choice)), replace=False) if len(choice) else []:
            points.append(np.array([at % mask.shape[1], at // mask.shape[1]]) + corner + rng.random(2))
            labels.append(0)
    return Sample(
        crop, label, square, box, np.array(points, float).reshape(-1, 2), np.array(labels, int), given, 1.0,
        which == "click",
    )  # fmt: skip


def as_drawn(mask: np.ndarray, reach: float, rng: np.random.Generator) -> np.ndarray:
    """The object as another annotator might have outlined it: a little wider or tighter, or smoother.

    Args:
        mask: Part of a crop, with a wide rim.
        reach: How much wider, pixels; below 0 tighter.
        rng: Source of all randomness.
    """
    depth = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    size = float(np.sqrt(mask.sum()))
    if rng.random() < 0.3:
        depth = ndimage.gaussian_filter(depth, rng.uniform(0.05, 0.2) * size)
    drawn: np.ndarray = depth + max(reach, -0.2 * size) > 0
    labels, count = ndimage.label(drawn)
    if count > 1:
        drawn = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return drawn if drawn.sum() >= 10 else mask


def samples_of(
    labels: np.ndarray, crop: int, kind: tuple[str, float], most: int, rng: np.random.Generator
) -> list[Row]:
    """Prompts for some whole objects of a crop, of which the kind and the zoom are given."""
    found = ndimage.find_objects(labels)
    kept = []
    for label, where in enumerate(found, 1):
        if where is None:
            continue
        rows, columns = where
        cut = rows.start == 0 or columns.start == 0 or rows.stop == CROP or columns.stop == CROP
        area = int((labels[where] == label).sum())
        if area >= 10 and (not cut or rng.random() < 0.1):
            kept.append((label, where))
    rng.shuffle(kept)
    habit = rng.normal(0, 0.8) * kind[1]
    out = []
    for label, (rows, columns) in kept[:most]:
        rim = 8 + max(rows.stop - rows.start, columns.stop - columns.start) // 2
        y0, x0 = max(rows.start - rim, 0), max(columns.start - rim, 0)
        part = labels[y0 : rows.stop + rim, x0 : columns.stop + rim] == label
        part = as_drawn(part, habit + rng.normal(0, 0.5) * kind[1], rng)
        sample = prompt_for(part, np.array([x0, y0]), crop, label, kind[1], rng)
        sample.trust = TRUST[kind[0]]
        out.append((sample, part, np.array([x0, y0])))
    return out


def batch_of(
    source: Source, crops: int, most: int, rng: np.random.Generator
) -> tuple[torch.Tensor, list[np.ndarray], list[Row]]:
    """Images, what counts for nothing, and prompts."""
    images, labels, ignore, kinds = source.draw(crops, rng)
    rows = [s for i in range(crops) for s in samples_of(labels[i], i, kinds[i], most, rng)]
    return images, ignore, rows


def targets_of(ignore: list[np.ndarray], rows: list[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    """Share of each cell that is object, and whether the cell counts. (N, CELLS, CELLS) each."""
    squares = torch.tensor(np.stack([s.square for s, _, _ in rows]), dtype=torch.float32)
    fine = cell_centres(squares, 2 * CELLS).numpy()
    truth, counted = [], []
    for (sample, part, corner), at in zip(rows, fine, strict=True):
        x, y = np.floor(at[..., 0]).astype(int), np.floor(at[..., 1]).astype(int)
        within = (x >= 0) & (x < CROP) & (y >= 0) & (y < CROP)
        known = within & ~ignore[sample.crop][y.clip(0, CROP - 1), x.clip(0, CROP - 1)]
        counted.append(known)
        x, y = x - corner[0], y - corner[1]
        here = (x >= 0) & (x < part.shape[1]) & (y >= 0) & (y < part.shape[0])
        own = here & part[y.clip(0, part.shape[0] - 1), x.clip(0, part.shape[1] - 1)]
        truth.append(own & within)
    pooled = [
        F.avg_pool2d(torch.from_numpy(np.stack(a).astype(np.float32))[:, None], 2)[:, 0] for a in (truth, counted)
    ]
    return pooled[0], (pooled[1] > 0.5).float()


def logits_of(rows: list[Row]) -> torch.Tensor:
    """Mask prompts on the grids; NaN where there is none."""
    out = torch.full((len(rows), 1, CELLS, CELLS), float("nan"))
    for i, (sample, _, corner) in enumerate(rows):
        if sample.mask is None:
            continue
        square = torch.tensor(sample.square[None], dtype=torch.float32)
        at = cell_centres(square, CELLS)[0].numpy() - corner - 0.5
        out[i, 0] = torch.from_numpy(
            cv2.remap(
                sample.mask,
                at[..., 0].astype(np.float32),
                at[..., 1].astype(np.float32),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=-8.0,
            )
        )
    return out


def decode(head: RoiHead, shared: SharedFeatures, rows: list[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask logits and logits of the expected IoU; gradients reach the head, and the features if they have any."""
    squares = torch.tensor(np.stack([s.square for s, _, _ in rows]), dtype=torch.float32)
    of = torch.tensor([s.crop for s, _, _ in rows])
    most = max(1, *(len(s.points) for s, _, _ in rows))
    points, kinds = torch.zeros(len(rows), most, 2), torch.full((len(rows), most), -1)
    for i, (s, _, _) in enumerate(rows):
        points[i, : len(s.points)] = torch.tensor(s.points, dtype=torch.float32)
        kinds[i, : len(s.labels)] = torch.tensor(s.labels)
    boxes = torch.tensor(np.stack([s.box for s, _, _ in rows]), dtype=torch.float32)
    fine = read_grids(shrunk(shared.fine, LEVELS), of, squares, CELLS, shared.size)
    with torch.no_grad():
        prompts = prompt_maps(squares, CELLS, boxes=boxes, points=points, labels=kinds, logits=logits_of(rows))
    context = [
        read_grids(shrunk(layer(m.clone()), 3), of, squares, CELLS, shared.size)
        for layer, m in zip(head.compress, shared.coarse, strict=True)
    ]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        masks, expected = head(torch.cat([fine, *context], 1).contiguous(memory_format=torch.channels_last), prompts)
    return masks.float(), expected.float()


def losses(
    masks: torch.Tensor, expected: torch.Tensor, truth: torch.Tensor, counted: torch.Tensor, rows: list[Row]
) -> tuple[torch.Tensor, dict[str, float]]:
    """BCE + Dice on the first candidate (after a single click: on the best), and the error of the expected IoU."""
    n, k = expected.shape
    target, weight = truth[:, None].expand(-1, k, -1, -1), counted[:, None].expand(-1, k, -1, -1)
    bce = (F.binary_cross_entropy_with_logits(masks, target, reduction="none") * weight).sum((2, 3)) / weight.sum(
        (2, 3)
    ).clamp_min(1)
    p = masks.sigmoid() * weight
    t = target * weight
    dice = 1 - (2 * (p * t).sum((2, 3)) + 1) / ((p * p).sum((2, 3)) + (t * t).sum((2, 3)) + 1)
    each = bce + dice
    ambiguous = torch.tensor([s.ambiguous for s, _, _ in rows])
    first = F.one_hot(torch.zeros(n, dtype=torch.long), k).float()
    best = F.one_hot(each.detach().argmin(1), k).float()
    share = torch.where(ambiguous[:, None], 0.85 * best + 0.05, 0.9 * first + 0.1 / k)
    trust = torch.tensor([s.trust for s, _, _ in rows])
    with torch.no_grad():
        hard = (masks > 0).float() * weight
        sure = (t > 0.5).float()
        iou = (hard * sure).sum((2, 3)) / ((hard + sure) > 0).float().sum((2, 3)).clamp_min(1)
    quality = (expected.sigmoid() - iou).square().mean(1)
    loss = ((each * share).sum(1) * trust).sum() / trust.sum() + 2 * quality.mean()
    chosen = torch.where(ambiguous, expected.argmax(1), 0)
    d = 1 - dice.detach().gather(1, chosen[:, None])[:, 0]
    facts = {
        "loss": float(loss.detach()),
        "dice_box": float(d[~ambiguous].mean()),
        "dice_click": float(d[ambiguous].mean()),
        "quality": float(quality.detach().mean()),
    }
    return loss, facts


def development_scores(head: RoiHead, segmenter: Segmenter, data: Path, zoom: float) -> dict[str, list[float]]:
    """Mean Dice with boxes moved by 0, 1 and 2 um and with one click, on pictures that train nothing.

    Those of the last row are what a blurred and faded scan of the same glass might be.
    """
    card = RoiCard(histoseed="", name="", segmenter_sha256="")
    model = RoiPrompter(segmenter, head, card, dtype=torch.bfloat16)
    sets = {
        "nucls-test": ("nucls_cc0_sample", "labels", sorted((data / "nucls_cc0_sample/images").glob("test*"))),
        "gbm40": ("gbm40", "labels", sorted((data / "gbm40/images").glob("*.png"))[::8]),
        "lgg": ("tcga_lgg_pairs", "labels_human", sorted((data / "tcga_lgg_pairs/images").glob("*"))[::6]),
    }
    sets |= {"poor": sets["lgg"]}
    users = [SimulatedUser.parse("box", jitter=f"{um}um") for um in (0, 1, 2)] + [SimulatedUser.parse("1pos")]
    out = {}
    for name, (place, folder, paths) in sets.items():
        rows: list[list[float]] = []
        for path in paths:
            labels = bundled.read_labels(data / place / folder / path.name)
            height, width = labels.shape
            image = bundled.read_rgb(path)
            if name == "poor":
                faded = cv2.GaussianBlur(image, (0, 0), 1.5).astype(float)
                middle = faded.mean((0, 1))
                image = (middle + 0.5 * (faded - middle)).clip(0, 255).astype(np.uint8)
            image = cv2.resize(image, None, fx=zoom, fy=zoom)
            window = Window(Region(0, 0, width, height, mpp=bundled.MPP / zoom), image.shape[:2])
            embedding = model.embed(image, window)
            for label in np.unique(labels[labels > 0])[::2].tolist():
                mask = labels == label
                prompts = [u.prompt(mask, window.region, bundled.MPP, prompt_generator(0, 0, label)) for u in users]
                rows.append([])
                for answer in model.predict(embedding, prompts):
                    found = mask_of(answer.candidates[0], (width, height))
                    true = mask[found.y : found.y + found.mask.shape[0], found.x : found.x + found.mask.shape[1]]
                    rows[-1].append(2 * int((found.mask & true).sum()) / (int(found.mask.sum()) + int(mask.sum())))
        out[name] = np.mean(rows, 0).round(4).tolist()
    return out


def rate_at(step: int, steps: int) -> float:
    """Warm-up and cosine, from 0 to 1 and back."""
    return float(min(1, step / 50) * (0.5 + 0.5 * np.cos(np.pi * step / steps)) + 0.005)


class Training:
    """What trains, its moving average, and the file that both are kept in."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        segmenter = load_segmenter(bundled_folder()).eval().to(memory_format=torch.channels_last)
        head = RoiHead(fine_channels(segmenter), coarse_channels(segmenter), cells=CELLS)
        self.now = nn.ModuleDict({"head": head.to(memory_format=torch.channels_last)})
        self.segmenter = segmenter
        if options.trunk:
            self.now["segmenter"] = segmenter
        self.file, self.step = options.out / "checkpoint.pt", 0
        if options.start is not None:
            head.load_state_dict(torch.load(options.start, weights_only=True)["mean"])
        self.mean = copy.deepcopy(self.now)
        groups = [{"params": list(head.parameters()), "peak": options.rate}]
        if options.trunk:
            groups.append({"params": list(segmenter.parameters()), "peak": options.trunk_rate})
        self.optimizer = torch.optim.AdamW(groups, lr=options.rate, weight_decay=1e-2, betas=(0.9, 0.98))
        if self.file.exists():
            state = torch.load(self.file, weights_only=True)
            self.now.load_state_dict(state["now"])
            self.mean.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = state["step"]

    def take(self, source: Source) -> dict[str, float] | None:
        """One step; its facts, or None where there was too little to learn from."""
        rng = np.random.default_rng([7, self.step])
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate_at(self.step, self.options.steps)
        self.step += 1
        self.now["head"].train()
        images, ignore, rows = batch_of(source, self.options.crops, self.options.most, rng)
        if len(rows) < 4:
            return None
        shared = shared_features(self.segmenter, images, dtype=torch.bfloat16, gradients=self.options.trunk)
        masks, expected = decode(self.now["head"], shared, rows)
        loss, facts = losses(masks, expected, *targets_of(ignore, rows), rows)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.now.parameters(), 1.0)
        self.optimizer.step()
        decay = min(0.997, self.step / (9 + self.step))
        with torch.no_grad():
            for kept, new in zip(self.mean.state_dict().values(), self.now.state_dict().values(), strict=True):
                kept.lerp_(new, 1 - decay) if kept.dtype.is_floating_point else kept.copy_(new)
        return facts

    def look_back(self) -> None:
        """Print the scores of the average."""
        segmenter = self.mean["segmenter"] if self.options.trunk else self.segmenter
        for zoom in (1.0, 2.0):
            found = development_scores(self.mean["head"], segmenter, self.options.data, zoom)
            print(self.step, f"{bundled.MPP / zoom:g} um a pixel", json.dumps(found), flush=True)

    def save(self) -> None:
        """Write the checkpoint; ``mean`` and ``segmenter`` are what ``pack_prompt.py`` reads."""
        names = ("crops", "most", "rate", "trunk_rate", "steps")
        state = {
            "now": self.now.state_dict(),
            "average": self.mean.state_dict(),
            "mean": self.mean["head"].state_dict(),
            "segmenter": self.mean["segmenter"].state_dict() if self.options.trunk else None,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "options": {name: getattr(self.options, name) for name in names},
        }
        torch.save(state, self.file.with_suffix(".tmp"))
        self.file.with_suffix(".tmp").replace(self.file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--crops", type=int, default=4)
    parser.add_argument("--most", type=int, default=20, help="Prompts a crop.")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--start", type=Path, help="Checkpoint whose head is the start.")
    parser.add_argument("--trunk", action="store_true", help="Train the segmenter below the head as well.")
    parser.add_argument("--trunk-rate", type=float, default=3e-4)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    training = Training(options)
    print(sum(p.numel() for p in training.now.parameters()), "parameters", flush=True)
    source = Source(options.data, load_segmenter(bundled_folder()).eval(), options.out / "outlines")
    began, recent = time.time(), []
    while training.step < options.steps:
        facts = training.take(source)
        recent += [facts] if facts else []
        if training.step % 50 == 0:
            means = {k: round(float(np.nanmean([r[k] for r in recent])), 3) for k in recent[0]}
            print(training.step, round(time.time() - began), json.dumps(means), flush=True)
            recent = []
        if training.step % 1000 == 0 or training.step == options.steps:
            training.look_back()
        if training.step % 100 == 0 or training.step == options.steps:
            training.save()


if __name__ == "__main__":
    main()
