"""How many pictures a second each family of encoders sees, and how much of the chip's matrix rate that is.

One encoder of each architecture, random weights (the time does not depend on them), pictures of 256 x 256, as the
embedding of a frozen encoder sees them. Each encoder has a process of its own. In the same process the rate of a large
matrix product is measured in the same precision; the fraction is operations of the encoder (counted by PyTorch) over
what the chip would do in that time. The reference of the ratios is float32 as written.

Run ``python benchmarks/encoders.py [--encoders NAME ...] [--device cuda] [--batch 8] [--json PATH]``; on a processor,
pin it to one core: ``OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/encoders.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from histoseed.encoders import build_encoder, get_card

ENCODERS = (
    "bundled",
    "mobilenet-v2",
    "timm:resnet50.a1_in1k",
    "timm:convnext_tiny.fb_in22k",
    "timm:swin_tiny_patch4_window7_224.ms_in22k",
    "timm:swinv2_base_window12_192.ms_in22k",
    "timm:maxvit_tiny_tf_512.in1k",
    "timm:coatnet_2_rw_224.sw_in12k",
    "timm:caformer_b36.sail_in22k",
    "timm:vit_small_patch16_224.augreg_in21k",
    "kaiko-b8",
    "phikon",
    "uni",
    "uni2-h",
    "virchow2",
    "gigapath",
    "dinov2-base",
    "dinov3-base",
    "hibou-b",
    "conch",
    "plip",
    "musk",
    "ctranspath",
    "hipt-vit256",
    "kimianet",
    "sam-b",
    "sam2.1-tiny",
)
SIDE = 256
MODES = ("float32", "bfloat16", "compiled")


def matrix_rate(device: str, dtype: torch.dtype, seconds: float = 1.0) -> float:
    """Operations a second of a product of square matrices, the best of several sizes."""
    best = 0.0
    for side in (1024, 2048) if device == "cpu" else (4096, 8192):
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        best = max(best, 2 * side**3 * calls_a_second(lambda a=a, b=b: a @ b, device, seconds))
    return best


def calls_a_second(call: Callable[[], Any], device: str, seconds: float) -> float:
    """The fastest of the calls that fit in so many seconds, at least three; one more before them."""

    def once() -> float:
        began = time.perf_counter()
        call()
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    once()
    end = time.perf_counter() + seconds
    times = [once() for _ in range(3)]
    while time.perf_counter() < end:
        times.append(once())
    return 1 / min(times)


@contextmanager
def precision(mode: str, device: str) -> Iterator[None]:
    """Autocast to bfloat16 where the mode asks for it."""
    with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16, enabled=mode == "bfloat16"):
        yield


def measure(name: str, device: str, batch: int, modes: tuple[str, ...], seconds: float) -> dict[str, Any]:
    """All modes of one encoder."""
    card = get_card(name)
    encoder = build_encoder(card, weights="random", image_size=SIDE).eval().to(device)
    pictures = torch.rand(batch, 3, SIDE, SIDE, device=device)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        encoder(pictures)
    operations = counter.get_total_flops() / batch
    row: dict[str, Any] = {
        "encoder": name,
        "parameters": sum(p.numel() for p in encoder.parameters()),
        "gflop": operations / 1e9,
    }
    rates = {"float32": matrix_rate(device, torch.float32)}
    if "bfloat16" in modes:
        rates["bfloat16"] = matrix_rate(device, torch.bfloat16)
    rates["compiled"] = rates["float32"]
    for mode in modes:
        try:
            network = torch.compile(encoder) if mode == "compiled" else encoder
            with precision(mode, device):
                speed = batch * calls_a_second(lambda network=network: network(pictures), device, seconds)
        except Exception as error:  # noqa: BLE001 - whatever a compiler raises belongs into the table
            row[mode] = {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
            continue
        row[mode] = {"pictures_a_second": speed, "fraction": speed * operations / rates[mode]}
    return row


def line(row: dict[str, Any], modes: tuple[str, ...]) -> str:
    """A line of the table."""
    if "error" in row:
        return f"{row['encoder']:<46}{row['error']}"
    cells = ""
    for mode in modes:
        cell = row[mode]
        if "error" in cell:
            cells += f"{'-':>16}{'':>16}"
        else:
            cells += f"{cell['pictures_a_second']:>16.2f}{cell['fraction']:>16.0%}"
    return f"{row['encoder']:<46}{row['parameters'] / 1e6:>9.1f}{row['gflop']:>8.1f}{cells}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=1, help="Pictures a call.")
    parser.add_argument("--seconds", type=float, default=3.0, help="Of measuring, a mode.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    modes = tuple(options.modes)
    if options.one:
        print(json.dumps(measure(options.one, options.device, options.batch, modes, options.seconds)))
        return
    rows: list[dict[str, Any]] = []
    head = "".join(f"{mode + ', /s':>16}{'of matrix rate':>16}" for mode in modes)
    print(f"{'encoder':<46}{'M param.':>9}{'GFLOP':>8}{head}")
    for name in options.encoders:
        command = [sys.executable, __file__, "--one", name, "--device", options.device, "--modes", *modes]
        command += ["--batch", str(options.batch), "--seconds", str(options.seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            rows.append({"encoder": name, "error": last[:200]})
        else:
            rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(line(rows[-1], modes), flush=True)
    if options.json:
        facts = {
            "device": torch.cuda.get_device_name() if options.device != "cpu" else platform.processor(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "side": SIDE,
            "batch": options.batch,
            "rows": rows,
        }
        options.json.write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
