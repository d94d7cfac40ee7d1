"""The networks of the cards are the released ones: their tensors fit what the published codes build, one for one."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import segment_anything
import torch
import yaml

from fixtures import tiny_sam as tiny
from histoseed.errors import ModelError
from histoseed.prompting.sam import CARDS
from histoseed.prompting.sam.layout import card_of_state, in_transformers_names, put_strictly
from histoseed.prompting.sam.networks import make_network

BUILT = [name for name, card in CARDS.items() if card.arch and not name.startswith(("medsam", "pathosam"))]


def instance(config: Any) -> Any:
    """What hydra makes of a published configuration."""
    if isinstance(config, list):
        return [instance(item) for item in config]
    if not isinstance(config, dict):
        return float(config) if config == "1e-6" else config  # a text to the YAML of 2005, not to hydra
    options = {key: instance(value) for key, value in config.items() if key != "_target_"}
    if "_target_" not in config:
        return options
    module, _, name = config["_target_"].rpartition(".")
    return getattr(import_module(module), name)(**options)


def published(name: str) -> torch.nn.Module:
    if name.startswith("sam2"):
        tiny.import_sam2()
        spec = find_spec("sam2")
        assert spec is not None
        assert spec.submodule_search_locations
        folder = Path(spec.submodule_search_locations[0]) / "configs" / "sam2.1"
        config = yaml.safe_load((folder / f"{name.replace('-', '_')}.yaml").read_text())["model"]
        # Positions are computed and not stored; the meta device has no numbers for them.
        config["image_encoder"]["neck"]["position_encoding"] = config["memory_encoder"]["position_encoding"] = None
        return instance(config | {"memory_attention": None})
    library = tiny.import_hq() if name.startswith("sam-hq") else segment_anything
    if name == "mobile-sam":
        light = tiny.import_hq().sam_model_registry["vit_tiny"]()  # "light HQ-SAM": MobileSAM's encoder
        light.mask_decoder = segment_anything.sam_model_registry["vit_b"]().mask_decoder
        return light
    return library.sam_model_registry[f"vit_{name[-1]}"]()


@pytest.mark.parametrize("name", BUILT)
def test_every_tensor_of_the_published_network_has_its_place(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # sam2 reads numbers of a small table while it builds, which tensors without memory do not have.
    monkeypatch.setattr(torch, "linspace", partial(torch.linspace, device="cpu"))
    card = CARDS[name]
    assert card.arch is not None
    with torch.device("meta"):
        theirs, ours = published(name).state_dict(), make_network(card)
    assert card_of_state(theirs, "file") == card
    renamed = in_transformers_names(card.arch, theirs)
    own = ours.state_dict()
    assert {key: value.shape for key, value in renamed.items()} == {key: value.shape for key, value in own.items()}
    assert in_transformers_names(card.arch, renamed).keys() == own.keys()  # a file of transformers stays as it is
    assert card_of_state(renamed, "file") == card
    assert sum(parameter.numel() for parameter in ours.parameters()) == card.params


@pytest.mark.parametrize("name", ["medsam", "pathosam-vit-b", "pathosam-vit-l", "pathosam-vit-h"])
def test_what_was_trained_from_sam_has_its_network(name: str) -> None:
    like = CARDS[f"sam-vit-{name[-1] if name.startswith('patho') else 'b'}"]
    assert (CARDS[name].arch, CARDS[name].build, CARDS[name].params) == (like.arch, like.build, like.params)


def test_a_network_of_no_released_size_is_told_by_its_size() -> None:
    state = tiny.segment_anything_of(segment_anything).state_dict()
    with pytest.raises(ModelError, match=r"no SAM, SAM-HQ or SAM 2 of a released size .*width 48, 4 blocks"):
        card_of_state(state, "x.pth")
    with pytest.raises(ModelError, match="width unknown, 0 blocks"):
        card_of_state({"conv.weight": torch.zeros(1)}, "x.pth")


def test_misfits_are_named() -> None:
    with torch.device("meta"):
        network = make_network(tiny.tiny_card("sam-vit-b"))
    state = in_transformers_names("sam", tiny.segment_anything_of(segment_anything).state_dict())
    state["new.weight"] = state.pop("mask_decoder.iou_token.weight")
    state["vision_encoder.pos_embed"] = state["vision_encoder.pos_embed"][:, :8]
    with pytest.raises(ModelError) as caught:
        put_strictly(network, state, "x.pth")
    assert caught.value.what == (
        "The weights do not fit the model: missing: mask_decoder.iou_token.weight; unexpected: new.weight; of another "
        "shape: vision_encoder.pos_embed (1, 8, 16, 48) for (1, 16, 16, 48)."
    )
