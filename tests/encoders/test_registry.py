"""Cards: constants against the published ones, names, suggestions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from histoseed.encoders import get_card, list_cards, why_unavailable
from histoseed.encoders.registry import CARDS, nearest
from histoseed.encoders.timm_family import timm_card
from histoseed.errors import ModelError

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = ([0.5] * 3, [0.5] * 3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bundled", HALF),
        ("dinov2-small", IMAGENET),
        ("dinov2-base", IMAGENET),
        ("timm:vit_small_patch16_224.augreg_in21k", HALF),
        ("timm:vit_small_patch14_reg4_dinov2.lvd142m", IMAGENET),
        ("timm:convnext_tiny.fb_in22k", IMAGENET),
        ("timm:swin_tiny_patch4_window7_224.ms_in22k", IMAGENET),
        ("timm:resnet18.a1_in1k", IMAGENET),
    ],
)
def test_normalisation_is_what_the_authors_prescribe(name: str, expected: tuple[list[float], list[float]]) -> None:
    card = get_card(name)
    assert (list(card.mean), list(card.std)) == expected


@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if card.family == "timm"])
def test_a_named_timm_card_agrees_with_timm_itself(name: str) -> None:
    ours, theirs = CARDS[name], timm_card(name)
    for field in ("arch", "hub_id", "licence", "commercial", "mean", "std", "native_size", "page", "gated"):
        assert getattr(ours, field) == getattr(theirs, field), field


def test_cards_are_json_and_complete_enough_to_decide_before_a_download() -> None:
    for card in list_cards():
        table = json.loads(json.dumps(card.as_dict()))
        assert table["name"] == card.name
        assert card.licence
        assert card.commercial == "yes"
        assert card.evidence
        assert card.family == "bundled" or (card.hub_id and card.page)


def test_wildcards_select_by_name() -> None:
    assert [card.name for card in list_cards("dinov2-*")] == ["dinov2-small", "dinov2-base"]
    assert list_cards("no-such-*") == []
    found = {card.name for card in list_cards("timm:convnext_atto.*")}
    assert "timm:convnext_atto.d2_in1k" in found
    assert all(name.startswith("timm:convnext_atto.") for name in found)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("dinov2-smal", "dinov2-small"),
        ("bundle", "bundled"),
        ("resnet18", "timm:resnet18.a1_in1k"),
        ("timm:resnt18", "timm:resnet18"),
        ("timm:resnet18.nope", "timm:resnet18.a1_in1k"),
        ("hf:facebook/dinov2-smal", "hf:facebook/dinov2-small"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(ModelError) as caught:
        get_card(wrong)
    assert right in (caught.value.fix or "")


def test_nothing_is_suggested_where_nothing_is_near() -> None:
    assert nearest("xyzzy", CARDS) == []


def test_a_hub_name_is_the_card_of_that_repository() -> None:
    assert get_card("hf:facebook/dinov2-base") is CARDS["dinov2-base"]


def test_timm_licences_are_read() -> None:
    assert get_card("timm:convnextv2_atto").commercial == "no"
    assert get_card("timm:vit_small_patch16_dinov3.lvd1689m").commercial == "unknown"


def test_absent_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(why_unavailable(card) is None for card in list_cards())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "histoseed[hf]" in (why_unavailable(get_card("dinov2-small")) or "")


def test_cards_can_be_read_without_any_model_library() -> None:
    import histoseed

    code = (
        "import sys; from histoseed.encoders import list_cards, get_card, why_unavailable; "
        "[why_unavailable(c) for c in list_cards()]; get_card('timm:resnet18.a1_in1k'); "
        "print([m for m in ('torch', 'timm', 'transformers') if m in sys.modules])"
    )
    source = str(Path(histoseed.__file__).parents[1])
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={"PYTHONPATH": source}, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_documentation_lists_every_card() -> None:
    page = Path(__file__).parents[2] / "docs" / "encoders.md"
    text = page.read_text(encoding="utf-8")
    assert [name for name in CARDS if f"`{name}`" not in text] == []
