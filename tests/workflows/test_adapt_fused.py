"""``adapt --task prompt --fusion``: trained, stored, loaded again, and asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from fixtures.disc_sets import draw_discs, write_discs
from histoseed.errors import InputError
from histoseed.geometry import Region
from histoseed.prompting import Prompt, Window
from histoseed.prompting.fusion import load_fused
from histoseed.prompting.fusion.model import FusedSam
from histoseed.training.prompted.store import encoder_fingerprint
from histoseed.workflows.adaptation.prompted import adapt_prompts
from histoseed.workflows.prompting.models import load_prompt_model

WINDOW = Window(Region(0, 0, 64, 64, mpp=1.0), (64, 64))
BOX = Prompt(box=(10, 10, 40, 40))


@pytest.mark.parametrize(("sam", "fusion"), [("tiny-sam", "concat"), ("tiny-sam2", "refinement")])
def test_a_fused_model_is_trained_stored_and_loaded(
    tmp_path: Path, sam: str, fusion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTOSEED_CACHE_DIR", str(tmp_path / "cache"))
    data = write_discs(tmp_path / "discs", patches=2)
    model = adapt_prompts(
        data, out=tmp_path / "model", encoder=sam, fusion=fusion, histology="bundled", tiles=1, prompts="box", steps=2,
        batch=2, device="cpu",
    )  # fmt: skip
    assert isinstance(model, FusedSam)
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert (card["kind"], card["fusion"]["name"], card["fusion"]["histology"]["name"]) == ("sam", fusion, "bundled")
    with safe_open(tmp_path / "model" / "model.safetensors", framework="np") as stored:
        names = set(stored.keys())
    assert not any(name.startswith("histology.") for name in names)  # the bundled one is in this package
    assert any(name.startswith("head.fusion.") for name in names)
    again = load_prompt_model(tmp_path / "model", device="cpu")
    image, _ = draw_discs(0)
    one, two = (m.predict(m.embed(image, WINDOW), [BOX])[0].candidates[0].logits for m in (model, again))
    assert np.array_equal(one, two)
    assert not any(p.requires_grad for p in model.histology.parameters())


def test_stored_embeddings_know_what_they_were_made_with() -> None:
    ways = [("concat", 1), ("concat", 2), ("cross-attention", 1)]
    models = [load_fused("tiny-sam", "bundled", fusion, tiles=tiles) for fusion, tiles in ways]
    prints = [encoder_fingerprint(model) for model in models]
    assert len(set(prints)) == 3
    again = load_fused("tiny-sam", "bundled", "concat", tiles=1)
    for parameter in again.parts().head.parameters():
        parameter.data.add_(1)
    assert encoder_fingerprint(again) == prints[0]  # what trains is no part of it


def test_a_fusion_without_a_histology_encoder_is_refused(tmp_path: Path) -> None:
    data = write_discs(tmp_path / "discs", patches=2)
    with pytest.raises(InputError, match="--histology"):
        adapt_prompts(data, out=tmp_path / "model", encoder="tiny-sam", fusion="concat", device="cpu")
