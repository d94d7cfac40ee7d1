"""What fusions of SAM and histology encoders cost, and whether tiles help.

    python benchmarks/fusion.py cost                      # networks of a few small blocks: time and memory
    python benchmarks/fusion.py cost --real               # SAM B and SAM 2.1 B+ with UNI at their sizes, random weights
    python benchmarks/fusion.py tiles --data DIR

``tiles`` trains ``encoder-only`` fusions on nuclei with 1, 2 and 4 histology tiles along a side. It is a model of the
real thing at a small scale: neither large objects nor published weights were within reach. The SAM is tiny and starts
from random weights; the histology encoder is the bundled one at stride 4 on tiles of 32 pixels. A window around a
nucleus has about 64 pixels, so that one tile is half as fine as the picture, two are as fine, and four only magnify.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from histoseed.encoders import build_encoder, get_card
from histoseed.geometry import Region
from histoseed.prompting import Prompt, Window
from histoseed.prompting.fusion import CARDS
from histoseed.prompting.fusion.histology import Histology
from histoseed.prompting.fusion.loading import histology_encoder
from histoseed.prompting.fusion.model import FusedSam
from histoseed.prompting.masks import mask_of
from histoseed.prompting.methods import prepare_promptable
from histoseed.prompting.sam import load_promptable
from histoseed.prompting.simulate import SimulatedUser, prompt_generator
from histoseed.segmenters.methods import MethodOptions
from histoseed.training.prompted import PromptedPlan, PromptPicture, Subject, subjects_of, train_prompted

KINDS = {"box": ("box", "1um"), "1 click": ("1pos", "0um")}


def status(key: str) -> float:
    """A row of this process's memory, MB."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return float(next(line for line in text.splitlines() if line.startswith(key)).split()[1]) / 1024


def measured(call: Callable[[], Any], repeats: int) -> tuple[Any, float, float]:
    """What a call gives, the median of its processor seconds, and the MB that it needs beside what was there."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts again
    before = status("VmRSS")
    found, times = None, []
    for _ in range(repeats):
        began = time.process_time()
        found = call()
        times.append(time.process_time() - began)
    return found, float(np.median(times)), status("VmHWM") - before


@torch.no_grad()
def cost(*, real: bool) -> list[dict[str, Any]]:
    """Processor seconds and memory of both encoders and of every fusion."""
    sams = ("sam-vit-b", "sam2.1-hiera-b+") if real else ("tiny-sam", "tiny-sam2")
    repeats = 1 if real else 7
    card = get_card("uni" if real else "bundled")
    encoder = histology_encoder(card, "random" if real else "bundled", 0, None)
    rows: list[dict[str, Any]] = []

    def told(**row: Any) -> None:
        rows.append(row)
        print(json.dumps(row), flush=True)

    grids = {}
    for count in (1, 4):
        seen = Histology(encoder, count)
        tiles = torch.rand(count * count, 3, seen.tile, seen.tile)
        grids[count], seconds, peak = measured(lambda seen=seen, tiles=tiles: seen(tiles), repeats)
        told(what=card.name, tiles=count, seconds=round(seconds, 3), peak_mb=round(peak))
    for sam in sams:
        base = load_promptable(sam, weights="random")
        side = base.side
        pixels = torch.randn(1, 3, side, side)
        own, seconds, peak = measured(lambda base=base, pixels=pixels: base.encode(pixels), repeats)
        told(what=sam, seconds=round(seconds, 3), peak_mb=round(peak))
        joined = FusedSam(base, Histology(encoder, 1), CARDS["concat"])
        window = Window(Region(0, 0, side, side, mpp=0.25), (side, side))
        trunk = joined.encode(joined.pixels(np.full((side, side, 3), 200, np.uint8), window))
        trunk.pop("histology")
        boxes = [Prompt(box=(20.0 + 5 * i, 30, 90.0 + 5 * i, 100)) for i in range(8)]
        _, seconds, peak = measured(lambda: base.ask(own, window, boxes, several=True), repeats)  # noqa: B023
        told(what=f"{sam}, a box", seconds=round(seconds / len(boxes), 4), peak_mb=round(peak))
        for name, fusion in CARDS.items():
            if fusion.upsampling == "deconvolution" and (not real or fusion.start == "random"):
                continue
            for count in [1] if fusion.tiles == 1 else [1, 4]:
                fresh = load_promptable(sam, weights="random")
                model = FusedSam(fresh, Histology(encoder, count), replace(fusion, tiles=count))
                before = fusion.kind == "concat" or (name == "cross-attention-published" and "sam2" not in sam)
                raw = {"encoder-only": {}}.get(fusion.kind, trunk if before else own) | {"histology": grids[count]}
                told(sam=sam, fusion=name, tiles=count, **costs(model, raw, window, boxes, repeats))
    return rows


def costs(model: FusedSam, raw: Any, window: Window, boxes: list[Prompt], repeats: int) -> dict[str, Any]:
    """Of one fusion, beside what both encoders cost."""
    fused, fuse, fuse_mb = measured(lambda: model.fuse(raw), repeats)
    _, decode, decode_mb = measured(lambda: model.ask(fused, window, boxes, several=True), repeats)
    stored, kept = (sum(t.numel() * t.element_size() for t in ts.values()) / 1e6 for ts in (raw, fused))
    return {
        "trained": sum(p.numel() for p in model.fusion.parameters()), "stored_mb": round(stored, 2),
        "embedding_mb": round(kept, 2), "fuse_s": round(fuse, 4), "box_s": round(decode / len(boxes), 4),
        "fuse_peak_mb": round(fuse_mb), "boxes_peak_mb": round(decode_mb),
    }  # fmt: skip


def small_fused(tiles: int, seed: int) -> FusedSam:
    """A tiny SAM that sees through the bundled encoder's map at stride 4."""
    card = replace(get_card("bundled"), native_size=32, dims=None, strides=None)
    encoder = build_encoder(card, weights="bundled", image_size=32, taps=[1])
    sam = load_promptable("tiny-sam", weights="random", seed=seed)
    torch.manual_seed(seed)
    return FusedSam(sam, Histology(encoder, tiles), CARDS["encoder-only"].with_tiles(tiles))


def pictures_of(folder: Path) -> list[PromptPicture]:
    pictures: list[PromptPicture] = []
    for path in sorted((folder / "images").glob("*.png")):
        image = np.array(Image.open(path).convert("RGB"))
        labels = np.array(Image.open(folder / "labels" / path.name)).astype(np.int32)

        def read(window: Window, image: Any = image) -> Any:
            r = window.region
            return image[int(r.y) : int(r.y + r.height), int(r.x) : int(r.x + r.width)]

        pictures.append(PromptPicture(path.stem, labels, 0.25, read))
    return pictures


def tiling(data: Path, steps: int, seeds: list[int]) -> list[dict[str, Any]]:
    """Dice on pictures that were not trained on, by tiles along a side of the window."""
    pictures = pictures_of(data)
    kept = pictures[::4]
    shown = [picture for picture in pictures if picture not in kept]
    rows = []
    for seed in seeds:
        plan = PromptedPlan(
            prompts="box,1pos", loss="focal-dice-iou", steps=steps, batch=16, learning_rate=1e-3, seed=seed,
            windows="object",
        )  # fmt: skip
        for count in (1, 2, 4):
            model = small_fused(count, seed)
            prepare_promptable(model, MethodOptions())
            taught = [s for p in shown for s in subjects_of(p, model.policy, plan)][::6]
            examined = [s for p in kept for s in subjects_of(p, model.policy, plan)][::6]
            began = time.process_time()
            history = train_prompted(model, taught, plan)
            loss = float(np.mean([row["loss"] for row in history[-20:]]))
            row = {
                "tiles": count, "seed": seed, "trained on": len(taught), "examined": len(examined),
                "loss": round(loss, 4), "seconds": round(time.process_time() - began), **dice_of(model, examined),
            }  # fmt: skip
            rows.append(row)
            print(json.dumps(row), flush=True)
    return rows


def dice_of(model: FusedSam, subjects: list[Subject]) -> dict[str, float]:
    """Mean Dice over objects, at level-0 pixels, and that of the ellipse in the same boxes."""
    found: dict[str, list[float]] = {kind: [] for kind in (*KINDS, "ellipse in the box")}
    for subject in subjects:
        picture, window = subject.picture, subject.window
        seen = model.embed(picture.read(window), window)
        truth = picture.labels == int(subject.id.rpartition("/")[2])
        for kind, (spec, jitter) in KINDS.items():
            rng = prompt_generator(0, 0, subject.id)
            prompt = SimulatedUser.parse(spec, jitter=jitter).prompt(
                subject.mask, subject.region, 0.25, rng, size=picture.size
            )
            mask = mask_of(model.predict(seen, [prompt])[0].candidates[0], picture.size)
            placed = np.zeros_like(truth)
            h, w = mask.mask.shape
            placed[mask.y : mask.y + h, mask.x : mask.x + w] = mask.mask
            found[kind].append(dice(placed, truth))
            if prompt.box is not None:
                found["ellipse in the box"].append(dice(ellipse(prompt.box, truth.shape), truth))
    return {f"Dice, {kind}": round(float(np.mean(values)), 4) for kind, values in found.items()}


def dice(one: Any, two: Any) -> float:
    return 2 * float((one & two).sum()) / float(one.sum() + two.sum())


def ellipse(box: tuple[float, float, float, float], shape: tuple[int, ...]) -> Any:
    x0, y0, x1, y1 = box
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return ((x - (x0 + x1) / 2) / (x1 - x0)) ** 2 + ((y - (y0 + y1) / 2) / (y1 - y0)) ** 2 <= 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cost", "tiles"])
    parser.add_argument("--real", action="store_true", help="cost: released sizes; takes some minutes.")
    parser.add_argument("--data", type=Path, help="tiles: a folder with images/ and labels/ of equal names.")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = cost(real=options.real) if options.what == "cost" else tiling(options.data, options.steps, options.seeds)
    if options.json:
        options.json.write_text(json.dumps({"threads": torch.get_num_threads(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
