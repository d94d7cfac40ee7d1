"""Fine-tuning a promptable model with a frozen encoder: objects a second with stored embeddings and without.

Each way trains the same objects for two epochs; the second one is timed. *Recomputed*: the encoder runs for each window
of every batch. *From the disk*: embeddings lie in the embedding cache, float16. *In memory*: they were kept since the
first epoch. All three take the same steps: their losses are compared, and must be equal.

SAM models have random weights (the time does not depend on them) and see every object in a window of its own; the
bundled model sees windows that neighbours share.

Run ``OMP_NUM_THREADS=2 python benchmarks/prompt_training.py DATASET [--models bundled sam2.1-hiera-t] [--objects 24]
[--mpp 0.25] [--json PATH]``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from histoseed.datasets import read_dataset
from histoseed.encoders import EmbeddingCache
from histoseed.prompting.methods import prepare_promptable
from histoseed.segmenters.methods import MethodOptions
from histoseed.training.prompted import PromptedPlan, train_prompted
from histoseed.workflows.adaptation.prompted import prompted_plan
from histoseed.workflows.adaptation.prompted_data import draw_objects
from histoseed.workflows.prompting.models import load_prompt_model

LIMIT = 1 << 34


def model_of(name: str) -> Any:
    model = load_prompt_model(name, weights=None if name == "bundled" else "random", device="cpu", dtype="float32")
    prepare_promptable(model, MethodOptions())
    return model


def timed(name: str, plan: PromptedPlan, data: Any, objects: int, mpp: float, cache: Any, memory: int) -> Any:
    """Seconds of the second epoch, and the losses."""
    model, ends = model_of(name), []
    taught = draw_objects([data], model.policy, plan, max_objects=objects, mpp=mpp)
    history = train_prompted(
        model, taught.training, plan, cache=cache, memory=memory, on_step=lambda _: ends.append(time.perf_counter())
    )
    half = len(ends) // 2
    return len(taught.training) / (ends[-1] - ends[half - 1]), [row["loss"] for row in history]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--models", nargs="+", default=["bundled", "sam2.1-hiera-t"])
    parser.add_argument("--objects", type=int, default=24)
    parser.add_argument("--mpp", type=float, default=0.25)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    data, rows = read_dataset(given.dataset), []
    for name in given.models:
        family = "roi" if name == "bundled" else "sam2" if name.startswith("sam2") else "sam"
        plan = prompted_plan(family, "frozen", epochs=2, batch=8, prompts="box,box+1pos")
        with tempfile.TemporaryDirectory() as folder:
            cache = EmbeddingCache(Path(folder), LIMIT)
            ways = {"recomputed": (None, 1), "from the disk": (cache, 1), "in memory": (None, LIMIT)}
            found = {way: timed(name, plan, data, given.objects, given.mpp, *how) for way, how in ways.items()}
        losses = [losses for _, losses in found.values()]
        assert losses[0] == losses[1] == losses[2], "stored embeddings changed the training"
        row = {"model": name, **{way: round(rate, 3) for way, (rate, _) in found.items()}}
        rates = {way: rate for way, (rate, _) in found.items()}
        row |= {
            f"{way} / recomputed": round(rates[way] / rates["recomputed"], 1) for way in ("from the disk", "in memory")
        }
        rows.append(row)
        print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if given.json:
        given.json.write_text(json.dumps({"threads": torch.get_num_threads(), "objects": given.objects, "rows": rows}))


if __name__ == "__main__":
    main()
