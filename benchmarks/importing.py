"""How long an import of PanNuke's size takes, how much memory, and whether an interruption shows in the result.

One fold is written into a temporary folder as the original has it: 2,600 patches of 256 x 256, images and masks as
float64 in .npy files (12 GB), wobbly nuclei in five classes that overlap here and there. It is imported with one and
with two threads, each run in a process of its own, so that its peak memory is its own; beside it runs the usual loop,
written here from what such scripts do: one patch after the other, one full mask a nucleus, Pillow and tifffile to
write, a dict a row. Then an import is killed (SIGKILL) half-way and called again; every file must be equal to that of
the import that ran through.

Processor seconds stand beside the seconds, since other work on the machine disturbs them less. Peak memory is that of
the kernel (ru_maxrss), in which pages of mapped files count as long as they are in memory; "own" leaves those out.

Run ``python benchmarks/importing.py [--patches N] [--json PATH]``; it needs 15 GB of disk and some minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import tifffile
from PIL import Image
from scipy import ndimage

from histoseed.datasets import import_dataset, read_dataset

Array = np.ndarray[Any, Any]
SIDE, CLASSES, FOLD = 256, 5, "fold1"
TARGET_SECONDS, TARGET_MIB = 60.0, 1536


def outline(rng: np.random.Generator, count: int) -> list[Array]:
    """Wobbly ellipses of 4 to 7 um at 0.25 microns per pixel, anywhere in the patch."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    found = []
    for _ in range(count):
        wobble = 1 + sum(rng.normal(0, 0.06) * np.cos(m * turn + rng.uniform(0, 6.3)) for m in (2, 3, 4))
        angle = rng.uniform(0, np.pi)
        x, y = rng.uniform(8, 14, (2, 1)) * wobble * np.stack([np.cos(turn), np.sin(turn)])
        rotated = np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], 1)
        found.append(np.round(rotated + rng.uniform(0, SIDE, 2)).astype(np.int32))
    return found


def draw_patch(rng: np.random.Generator) -> tuple[Array, Array]:
    """Image (256, 256, 3) and masks (256, 256, 6); numbers run through all channels, as in the original."""
    masks = np.zeros((SIDE, SIDE, CLASSES + 1))
    planes = [np.zeros((SIDE, SIDE), np.int32) for _ in range(CLASSES)]
    for number, polygon in enumerate(outline(rng, int(rng.gamma(2.0, 14.0))), 1):
        inside = cv2.fillPoly(np.zeros((SIDE, SIDE), np.uint8), [polygon], 1) > 0
        plane = planes[rng.choice(CLASSES, p=(0.41, 0.17, 0.27, 0.01, 0.14))]
        plane[inside & (sum(planes) == 0) | (inside & (rng.random() < 0.1) & (plane == 0))] = number
    masks[..., :CLASSES] = np.stack(planes, -1)
    nuclei = (masks[..., :CLASSES] > 0).any(-1)
    masks[..., CLASSES] = ~nuclei
    tissue = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 6)[..., None] * 250
    image = np.where(nuclei[..., None], (105, 65, 140), (215, 160, 200)) + tissue
    noise = ndimage.gaussian_filter(rng.normal(0, 22, (SIDE, SIDE, 3)), (0.7, 0.7, 0))
    return np.clip(np.round(image + noise), 0, 255), masks


def write_fold(root: Path, patches: int, different: int = 200) -> None:
    """One fold in the layout of the release; after ``different`` patches they return turned and mirrored."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / "Fold 1" / kind / FOLD).mkdir(parents=True)
    drawn = [draw_patch(rng) for _ in range(min(different, patches))]
    base = root / "Fold 1"
    stacks = [
        np.lib.format.open_memmap(
            base / kind / FOLD / f"{kind}.npy", mode="w+", dtype=np.float64, shape=(patches, SIDE, SIDE, depth)
        )
        for kind, depth in (("images", 3), ("masks", CLASSES + 1))
    ]
    for i in range(patches):
        turns = i // different
        for stack, one in zip(stacks, drawn[i % different], strict=True):
            turned = np.rot90(one, turns % 4)
            stack[i] = turned[:, ::-1] if turns % 8 >= 4 else turned
    for stack in stacks:
        stack.flush()
    np.save(base / "images" / FOLD / "types.npy", np.array(["Breast"] * patches))


def naive(source: Path, out: Path) -> None:
    """The usual loop: patch by patch, nucleus by nucleus, files by Pillow and tifffile, a dict a row."""
    images = np.load(source / "Fold 1" / "images" / FOLD / "images.npy", mmap_mode="r", allow_pickle=False)
    masks = np.load(source / "Fold 1" / "masks" / FOLD / "masks.npy", mmap_mode="r", allow_pickle=False)
    names = ("Neoplastic", "Inflammatory", "Connective", "Dead", "Epithelial")
    (out / "images").mkdir(parents=True)
    (out / "masks").mkdir()
    patches, objects = [], []
    for i in range(len(images)):
        image, mask = images[i].astype(np.uint8), masks[i].astype(np.int32)
        labels, number = np.zeros((SIDE, SIDE), np.int32), 0
        for channel, name in enumerate(names):
            for value in np.unique(mask[..., channel]):
                if value == 0:
                    continue
                number += 1
                one = mask[..., channel] == value
                labels[one] = number
                y, x = np.nonzero(one)
                objects.append({
                    "patch_id": f"{FOLD}-{i:04d}", "label": number, "class_name": name, "area_px": len(y),
                    "x0": x.min(), "y0": y.min(), "x1": x.max() + 1, "y1": y.max() + 1,
                    "centroid_x": x.mean() + 0.5, "centroid_y": y.mean() + 0.5,
                })  # fmt: skip
        for folder, suffix in (("images", "png"), ("masks", "tif")):
            path = out / folder / f"{FOLD}-{i:04d}.{suffix}"
            if suffix == "png":
                Image.fromarray(image).save(path)
            else:
                tifffile.imwrite(path, labels.astype(np.uint16), compression="zlib")
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            patches.append({"patch_id": f"{FOLD}-{i:04d}", "file": path.name, "sha256": digest})
    pl.DataFrame(patches).write_parquet(out / "patches.parquet")
    pl.DataFrame(objects).write_parquet(out / "instances.parquet")


class OwnMemory(threading.Thread):
    """Watches the memory that belongs to this process alone: no mapped files. Linux tells; elsewhere it stays 0."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_kib = 0

    def run(self) -> None:
        """Look twenty times a second, until the process ends."""
        status = Path("/proc/self/status")
        while status.is_file():
            line = next(one for one in status.read_text().splitlines() if one.startswith("RssAnon"))
            self.peak_kib = max(self.peak_kib, int(line.split()[1]))
            time.sleep(0.05)


def child(what: str, source: Path, out: Path, number: int) -> None:
    """One run, in a process of its own, with that many threads; prints JSON. The fixture is that many patches."""
    if what == "fixture":
        write_fold(source, number)
        return
    memory = OwnMemory()
    memory.start()
    cpu, begin = time.process_time(), time.perf_counter()
    if what == "naive":
        naive(source, out)
    else:
        import_dataset("pannuke", source, out, workers=number)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    own = memory.peak_kib / 1024
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_mib": round(peak), "own_mib": round(own)}))


def command(what: str, source: Path, out: Path, number: int) -> list[str]:
    return [sys.executable, __file__, "--child", what, str(source), str(out), str(number)]


def measured(what: str, source: Path, out: Path, threads: int, patches: int) -> dict[str, Any]:
    done = subprocess.run(command(what, source, out, threads), stdout=subprocess.PIPE, check=True, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    row = {key: round(value, 2) for key, value in row.items()}
    return {"run": what, "threads": threads, **row, "patches_per_second": round(patches / row["seconds"], 1)}


def interrupted(source: Path, out: Path, threads: int, patches: int) -> float:
    """Begin an import and kill it when half of its patches are done; the share that was done."""
    units = out.with_name(f".{out.name}.importing") / "units"
    wanted = (patches + 15) // 16 / 2
    with subprocess.Popen(command("import", source, out, threads), stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and len(list(units.glob("*.json"))) < wanted:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    if out.exists():
        raise RuntimeError("The import ended before it could be killed.")
    return len(list(units.glob("*.json"))) / (2 * wanted)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run_all(source: Path, work: Path, arguments: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    patches = len(np.load(source / "Fold 1" / "images" / FOLD / "images.npy", mmap_mode="r", allow_pickle=False))
    rows: list[dict[str, Any]] = []
    say(f"{'run':>8} {'threads':>7} {'seconds':>8} {'cpu s':>7} {'patches/s':>9} {'peak MiB':>8} {'own MiB':>7}")

    def note(row: dict[str, Any]) -> None:
        rows.append(row)
        say(
            f"{row['run']:>8} {row['threads']:>7} {row['seconds']:>8.1f} {row['cpu_seconds']:>7.1f} "
            f"{row['patches_per_second']:>9.1f} {row['peak_mib']:>8,} {row['own_mib']:>7,}"
        )

    for turn in range(arguments.repeat):
        note(measured("naive", source, work / f"naive-{turn}", 1, patches))
        for threads in arguments.threads:
            note(measured("import", source, work / f"import-{threads}-{turn}", threads, patches))
    most = max(arguments.threads)
    share = interrupted(source, work / "resumed", most, patches)
    note(measured("import", source, work / "resumed", most, patches) | {"run": "resumed"})
    whole = digests(work / f"import-{most}-0")
    others = [work / f"import-{threads}-0" for threads in arguments.threads] + [work / "resumed"]
    data = read_dataset(work / f"import-{most}-0")

    def best(run: str, threads: int, key: str = "seconds") -> float:
        return float(min(row[key] for row in rows if (row["run"], row["threads"]) == (run, threads)))

    return {
        "patches": patches,
        "objects": data.instances.height,
        "source_gb": round(sum(path.stat().st_size for path in source.rglob("*.npy")) / 1e9, 2),
        "load": list(os.getloadavg()),
        "killed_at": round(share, 2),
        "equal_files": all(digests(other) == whole for other in others),
        "files": len(whole),
        "seconds": best("import", most),
        "target_seconds": TARGET_SECONDS * patches / 2600,
        "peak_mib": max(row["peak_mib"] for row in rows if row["run"] == "import"),
        "target_mib": TARGET_MIB,
        "faster_than_naive": {str(n): round(best("naive", 1) / best("import", n), 2) for n in arguments.threads},
        "runs": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, default=2600)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=1, help="how often; the best of each counts")
    parser.add_argument("--source", type=Path, help="folder of the fixture; made there where it is absent, and kept")
    parser.add_argument("--json", metavar="PATH", help="also write the figures as JSON; - is standard output")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        what, source, out, number = arguments.child
        child(what, Path(source), Path(out), int(number))
        return
    stream = sys.stderr if arguments.json == "-" else sys.stdout
    with tempfile.TemporaryDirectory() as folder:
        source = arguments.source or Path(folder) / "PanNuke"
        if not source.is_dir():
            # Not here: the kernel starts the peak memory of a child with that of its parent.
            subprocess.run(command("fixture", source, source, arguments.patches), check=True)
        figures = run_all(source, Path(folder), arguments, lambda line: print(line, file=stream, flush=True))
    print(
        f"{figures['patches']:,} patches, {figures['objects']:,} nuclei, {figures['source_gb']} GB; "
        f"ratio to the loop: {figures['faster_than_naive']}\n"
        f"targets: {figures['seconds']:.1f} of {figures['target_seconds']:.0f} s, "
        f"{figures['peak_mib']:,} of {figures['target_mib']:,} MiB\n"
        f"killed at {figures['killed_at']:.0%} and resumed: "
        f"{figures['files']:,} files {'equal' if figures['equal_files'] else 'DIFFER'}",
        file=stream,
    )
    if arguments.json:
        text = json.dumps(figures, indent=2)
        print(text) if arguments.json == "-" else Path(arguments.json).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
