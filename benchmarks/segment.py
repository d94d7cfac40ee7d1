"""How much tissue a minute is segmented, and how much memory that takes.

A synthetic slide is laid out from one real image, mirrored at every seam, and written as a tiled JPEG TIFF. Each run
has a process of its own, so that its peak memory is its own. Time should grow with the area, memory should not.

Run ``python benchmarks/segment.py [--sizes 2000 8000] [--mpp 0.25 0.5] [--json PATH]``; the whole takes about a quarter
of an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from PIL import Image
from skimage.data import immunohistochemistry

from histoseed.workflows.segment import segment_slides

SHARED = Path(__file__).parents[2] / "shared" / "data" / "monuseg16" / "images"


def source_image(path: Path | None, mpp: float) -> tuple[str, np.ndarray[Any, np.dtype[np.uint8]]]:
    """Name and pixels of a real image, resampled to ``mpp``."""
    if path is None and SHARED.is_dir():
        path = sorted(SHARED.glob("*.png"))[0]
    if path is None:
        name, image, own = (
            "skimage.data.immunohistochemistry, taken for 0.5 mpp",
            Image.fromarray(immunohistochemistry()),
            0.5,
        )
    else:
        name, image, own = path.name, Image.open(path).convert("RGB"), 0.25
    size = (round(image.width * own / mpp), round(image.height * own / mpp))
    return name, np.asarray(image.resize(size, Image.Resampling.BICUBIC))


def write_slide(path: Path, image: np.ndarray[Any, np.dtype[np.uint8]], side: int, mpp: float) -> None:
    """A square slide of mirrored copies."""
    pair = np.concatenate([image, image[:, ::-1]], 1)
    block = np.concatenate([pair, pair[::-1]], 0)
    times = [-(-side // n) for n in block.shape[:2]]
    pixels = np.tile(block, (*times, 1))[:side, :side]
    tifffile.imwrite(
        path, pixels, tile=(512, 512), compression="jpeg", photometric="rgb", resolution=(1e4 / mpp, 1e4 / mpp),
        resolutionunit="CENTIMETER",
    )  # fmt: skip


def child(slide: str, out: str, mpp: float, arguments: argparse.Namespace) -> None:
    """One measured run, in a process of its own; prints JSON."""
    torch.set_num_threads(arguments.threads)
    begin = time.perf_counter()
    (summary,) = segment_slides(
        [slide], out=out, mpp=mpp, model=arguments.model, tile_size=arguments.tile_size, dtype=arguments.dtype
    ).values()
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    run = json.loads((Path(out) / Path(slide).stem / "run.json").read_text(encoding="utf-8"))
    print(json.dumps({
        "seconds": round(seconds, 1), "peak_mib": round(peak), "objects": summary["objects"],
        "mm2": summary["region_mm2"], "dtype": run["dtype"], **{f"s_{k}": v for k, v in run["timings"].items()},
    }))  # fmt: skip


def measure(side: int, mpp: float, arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        slide = Path(folder) / f"slide-{side}.tif"
        name, image = source_image(arguments.image, mpp)
        write_slide(slide, image, side, mpp)
        command = [sys.executable, __file__, *sys.argv[1:], "--mpp", str(mpp), "--child", str(slide), f"{folder}/out"]
        environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    rates = {"mm2_per_minute": row["mm2"] / row["seconds"] * 60, "objects_per_second": row["objects"] / row["seconds"]}
    return {"side": side, "mpp": mpp, "image": name, **row, **{key: round(value, 2) for key, value in rates.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2000, 8000], help="sides of the slides, pixels")
    parser.add_argument("--mpp", type=float, nargs="+", default=[0.25, 0.5], help="their microns per pixel")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tile-size", type=int, default=None)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--image", type=Path, default=None, help="another image, at 0.25 mpp")
    parser.add_argument("--json", metavar="PATH", help="also write the figures as JSON; - is standard output")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child, mpp=arguments.mpp[0], arguments=arguments)
        return
    out = sys.stderr if arguments.json == "-" else sys.stdout
    print(f"{'mpp':>5} {'side':>6} {'mm2':>7} {'seconds':>8} {'mm2/min':>8} {'objects/s':>9} {'peak MiB':>8}", file=out)
    rows = []
    for mpp in arguments.mpp:
        for side in arguments.sizes:
            row = measure(side, mpp, arguments)
            rows.append(row)
            print(
                f"{mpp:>5} {side:>6} {row['mm2']:>7.3f} {row['seconds']:>8.1f} {row['mm2_per_minute']:>8.2f} "
                f"{row['objects_per_second']:>9.0f} {row['peak_mib']:>8}", file=out, flush=True,
            )  # fmt: skip
    if arguments.json:
        text = json.dumps({"threads": arguments.threads, "runs": rows}, indent=2)
        print(text) if arguments.json == "-" else Path(arguments.json).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
