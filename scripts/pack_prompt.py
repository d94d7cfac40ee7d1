"""Turn the checkpoint of ``train_prompt.py`` into the bundled folder.

python scripts/pack_prompt.py runs/prompt/checkpoint.pt src/histoseed/bundled/prompt
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from histoseed import __version__
from histoseed.bundled import bundled_folder
from histoseed.prompting.roi.card import RoiCard
from histoseed.prompting.roi.model import RoiPrompter, new_head
from histoseed.prompting.roi.storage import save_prompter
from histoseed.segmenters import load_segmenter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--metrics", type=Path, help="JSON list of measured scores for the card.")
    options = parser.parse_args()
    segmenter = load_segmenter(bundled_folder())
    state = torch.load(options.checkpoint, weights_only=True)
    data = [d for d in segmenter.card.data if d.name != "unlabelled pictures"]
    notes = {
        "dsb2018_histology_cc0": "outlines; without the images of dsb2018_pairs",
        "nucls_cc0_sample": "outlines; the ten training crops",
        "brca_m2c_points_bsd3": "outlines that the bundled model draws around the points; composites of tissues",
    }
    card = RoiCard(
        histoseed=__version__,
        name="histoseed bundled prompts (H&E)",
        segmenter_sha256=str(segmenter.card.weights_sha256),
        data=tuple(d.model_copy(update={"note": notes.get(d.name, d.note)}) for d in data),
        training={"script": "scripts/train_prompt.py", "steps": state["step"], "seed": 7, **state.get("options", {})},
        metrics=tuple(json.loads(options.metrics.read_text()) if options.metrics else ()),
    )
    head = new_head(segmenter, card)
    head.load_state_dict(state["mean"])
    print(save_prompter(RoiPrompter(segmenter, head, card), options.out, overwrite=True).weights_sha256)


if __name__ == "__main__":
    main()
