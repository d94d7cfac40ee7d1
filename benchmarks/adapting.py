"""What the embedding cache saves, and what a training step costs beside its matrix products.

*Cache.* The same patches are adapted to twice with a frozen, ViT-L-sized encoder (random weights: the time does not
depend on them), the second time with the features of the first in the cache. What the cache cannot save, building the
encoder and the steps themselves, is in both times.

*Step.* One step of the skip decoder on stored features, batch of 8 crops: forward, loss, backward, clipping, AdamW and
the moving average. Beside it the matrix products alone that its convolutions stand for: for each of them three products
(output, gradient of the input, gradient of the weights) of the same shapes, in the same precision and with as many
threads. The target is a ratio of 2. The last column is stricter: the same number of operations at the rate of a product
of two square matrices, which narrow shapes do not reach.

Run ``OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/adapting.py [--patches 8] [--steps 10] [--device cuda]
[--json PATH]``.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from histoseed.encoders import EmbeddingCache, build_encoder
from histoseed.segmenters import ModelCard, Segmenter
from histoseed.segmenters.card import EncoderEntry
from histoseed.training import Picture, TrainingPlan, train

LARGE = "timm:vit_large_patch16_224.augreg_in21k"
SIDE = 256


def pictures(count: int) -> list[Picture]:
    """Crops of 64 um with 25 discs each on noise; what is drawn on them changes no time."""
    made = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        image = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        labels = np.zeros((SIDE, SIDE), np.int32)
        y, x = np.mgrid[:SIDE, :SIDE]
        for i in range(25):
            cy, cx = (i // 5) * 50 + 28 + rng.integers(-8, 8), (i % 5) * 50 + 28 + rng.integers(-8, 8)
            labels[(y - cy) ** 2 + (x - cx) ** 2 < 12**2] = i + 1
        made.append(Picture(image, labels, group=str(seed)))
    return made


def segmenter(encoder: str, device: str) -> Segmenter:
    """An untrained model with the skip decoder."""
    built = build_encoder(encoder, weights="random", image_size=SIDE)
    entry = EncoderEntry(name=encoder, weights="random")
    return Segmenter(built, ModelCard(histoseed="0", name="benchmark", mpp=0.25, encoder=entry)).to(device)


def adapted(count: int, steps: int, device: str, cache: EmbeddingCache) -> float:
    """Seconds of one adaptation with the large encoder, its construction included."""
    began = time.perf_counter()
    plan = TrainingPlan(steps=steps, method="frozen", report_every=steps, checkpoint_every=steps)
    train(segmenter(LARGE, device), pictures(count), plan, cache=cache)
    return time.perf_counter() - began


def cache_rows(count: int, steps: list[int], device: str) -> list[dict[str, Any]]:
    """First and second adaptation, for several numbers of steps."""
    rows = []
    for number in steps:
        with tempfile.TemporaryDirectory() as folder:
            cache = EmbeddingCache(Path(folder), 8 << 30)
            first, second = (adapted(count, number, device, cache) for _ in range(2))
        rows.append({"patches": count, "steps": number, "first": first, "second": second, "ratio": first / second})
        print(f"{count:>8}{number:>7}{first:>12.1f}{second:>12.1f}{first / second:>8.1f}", flush=True)
    return rows


def products(model: Segmenter, features: list[torch.Tensor], images: torch.Tensor) -> list[tuple[int, int, int]]:
    """(rows, inner, columns) of the product that each convolution of the decoder stands for."""
    found: list[tuple[int, int, int]] = []

    def record(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        rows = output.shape[0] * output.shape[2] * output.shape[3]
        inner = layer.in_channels // layer.groups * layer.kernel_size[0] * layer.kernel_size[1]
        found.append((rows, inner, layer.out_channels))

    hooks = [m.register_forward_hook(record) for m in model.decoder.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        model.decode(images, features)
    for hook in hooks:
        hook.remove()
    return found


def waited(device: str) -> float:
    """The time, when everything before has been done."""
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


def best(call: Any, device: str, repeats: int) -> float:
    """Seconds of the fastest of some calls; one more before them."""
    call()
    times = []
    for _ in range(repeats):
        began = waited(device)
        call()
        times.append(waited(device) - began)
    return min(times)


def products_seconds(shapes: list[tuple[int, int, int]], device: str, dtype: torch.dtype, repeats: int) -> float:
    """Seconds of the three products of each shape, one after the other."""
    total = 0.0
    for rows, inner, columns in shapes:
        x = torch.randn(rows, inner, device=device, dtype=dtype)
        w = torch.randn(inner, columns, device=device, dtype=dtype)
        g = torch.randn(rows, columns, device=device, dtype=dtype)

        def three(x: torch.Tensor = x, w: torch.Tensor = w, g: torch.Tensor = g) -> None:
            torch.matmul(x, w)
            torch.matmul(g, w.T)
            torch.matmul(x.T, g)

        total += best(three, device, repeats)
    return total


def step_row(device: str, dtype: torch.dtype, repeats: int) -> dict[str, Any]:
    """Seconds of a step on stored features, and of the matrix products in it."""
    model = segmenter("timm:vit_small_patch16_224.augreg_in21k", device)
    plan = TrainingPlan(steps=3 + repeats, method="frozen", report_every=10**6, checkpoint_every=10**6)
    times: list[float] = []

    def watch(row: dict[str, float | None]) -> None:
        del row
        times.append(waited(device))

    with tempfile.TemporaryDirectory() as folder:
        train(model, pictures(4), plan, cache=EmbeddingCache(Path(folder), 1 << 30), dtype=dtype, on_step=watch)
    step = float(np.min(np.diff(times)[1:-1]))  # the last one also measures quality
    images = torch.rand(plan.batch, 3, SIDE, SIDE, device=device)
    with torch.no_grad():
        features = [f.clone() for f in model.encoder(images)]
    shapes = products(model, features, images)
    raw = products_seconds(shapes, device, dtype, max(3, repeats // 2))
    operations = 6 * sum(a * b * c for a, b, c in shapes)
    square = torch.randn(2048, 2048, device=device, dtype=dtype)
    rate = 2 * 2048**3 / best(lambda: square @ square, device, 2 * repeats)
    return {
        "dtype": str(dtype).removeprefix("torch."),
        "step": step,
        "products": raw,
        "ratio": step / raw,
        "ratio_square": step / (operations / rate),
        "gflop": operations / 1e9,
        "plan": {key: value for key, value in asdict(plan).items() if key in {"batch", "crop"}},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, default=16)
    parser.add_argument("--steps", type=int, nargs="*", default=[1, 10, 100])
    parser.add_argument("--repeats", type=int, default=10, help="Steps that are timed.")
    parser.add_argument("--dtypes", nargs="+", choices=("float32", "bfloat16"), default=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    facts: dict[str, Any] = {"threads": torch.get_num_threads(), "torch": torch.__version__, "load": os.getloadavg()[0]}
    print(f"{'step of the skip decoder':<26}{'ms':>10}{'products, ms':>14}{'ratio':>8}{'square':>8}")
    facts["step"] = []
    for name in options.dtypes:
        row = step_row(options.device, getattr(torch, name), options.repeats)
        facts["step"].append(row)
        ratios = f"{row['ratio']:>8.2f}{row['ratio_square']:>8.2f}"
        print(f"{name:<26}{row['step'] * 1e3:>10.0f}{row['products'] * 1e3:>14.0f}{ratios}", flush=True)
    if options.steps:
        print(f"{'patches':>8}{'steps':>7}{'first, s':>12}{'second, s':>12}{'ratio':>8}")
        facts["cache"] = cache_rows(options.patches, options.steps, options.device)
    if options.json:
        options.json.write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
