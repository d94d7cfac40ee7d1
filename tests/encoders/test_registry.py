"""Cards: constants against the published ones, names, suggestions."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from histoseed.encoders import get_card, list_encoders, why_no_weights, why_unavailable
from histoseed.encoders.registry import CARDS, nearest
from histoseed.encoders.store import WeightsStore
from histoseed.encoders.table import GROUPS, markdown_table
from histoseed.encoders.timm_family import timm_card
from histoseed.errors import InputError, ModelError

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = ([0.5] * 3, [0.5] * 3)
BIO = ([0.707223, 0.578729, 0.703617], [0.211883, 0.230117, 0.177517])
HIB = ([0.7068, 0.5755, 0.722], [0.195, 0.2316, 0.1816])
LUN = ([0.70322989, 0.53606487, 0.66096631], [0.21716536, 0.26081574, 0.20723464])
CLIP = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])


def words(text: str) -> list[str]:
    return text.split()


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
        # specification 1
        *[(name, IMAGENET) for name in words("uni uni2-h virchow virchow2 gigapath phikon phikon-v2 ctranspath conch")],
        *[(name, IMAGENET) for name in words("conch-v1.5 gpfm mstar kimianet openmidnight")],
        *[(name, HALF) for name in words("hipt-vit256 midnight-12k kaiko-s8 kaiko-l14 musk")],
        *[(name, BIO) for name in words("h-optimus-0 h-optimus-1 h0-mini")],
        *[(name, HIB) for name in words("hibou-b hibou-l")],
        *[(name, LUN) for name in words("lunit-s16 lunit-s8")],
        *[(name, CLIP) for name in words("quiltnet-b32 quiltnet-b16 quiltnet-b16-pmb plip")],
        *[(name, IMAGENET) for name in words("sam-b sam-l sam-h sam2.1-tiny sam2.1-large pathosam-b")],
        ("medsam", ([0.0] * 3, [1.0] * 3)),
        ("sam-h-cellvit", HALF),  # specification 1.1 d
    ],
)  # fmt: skip
def test_normalisation_is_what_the_authors_prescribe(name: str, expected: tuple[list[float], list[float]]) -> None:
    card = get_card(name)
    assert (list(card.mean), list(card.std)) == expected


_REHOSTED = [name for name, card in CARDS.items() if (card.hub_id or "").startswith("timm/")]


@pytest.mark.parametrize("name", [name for name in _REHOSTED if not name.endswith("-cellvit")])
def test_a_named_timm_card_agrees_with_timm_itself(name: str) -> None:
    ours, theirs = CARDS[name], timm_card(f"timm:{CARDS[name].arch}")
    for field in ("arch", "hub_id", "licence", "commercial", "mean", "std", "native_size", "page", "gated"):
        assert getattr(ours, field) == getattr(theirs, field), field


def test_cards_are_json_and_complete_enough_to_decide_before_a_download() -> None:
    for card in list_encoders():
        table = json.loads(json.dumps(card.as_dict()))
        assert table["name"] == card.name
        assert table["group"] in {"histoseed", "pathology", "general", "segment-anything"}
        if card.family == "none":
            assert card.reason
            assert why_unavailable(card) == card.reason
            continue
        assert card.reason is None
        assert card.evidence
        assert card.dims
        assert card.strides
        assert card.params
        assert card.licence or card.name.startswith("pathosam")  # its licence is stated nowhere
        assert card.name == "bundled" or (card.page and card.native_size and card.citation)
        assert card.hub_id or card.filename or card.name in {"bundled", "mobilenet-v2"}


def test_every_model_that_was_asked_for_has_a_card() -> None:
    asked = words(
        """uni uni2-h virchow virchow2 gigapath h-optimus-0 h-optimus-1 h0-mini phikon phikon-v2 ctranspath
        hipt-vit256 conch conch-v1.5 quiltnet-b32 quiltnet-b16 plip hibou-b hibou-l midnight-12k kaiko-s16 kaiko-s8
        kaiko-b16 kaiko-b8 kaiko-l14 gpfm mstar kimianet lunit-s16 lunit-s8 musk dinov2-large dinov3-base
        dinov3-convnext-base sam-b sam-l sam-h sam2.1-tiny sam2.1-small sam2.1-base-plus sam2.1-large medsam
        pathosam-b remedis rudolfv pluto"""
    )
    assert [name for name in asked if name not in CARDS] == []
    for kind in ("vit_*in21k", "swin_*in22k", "swinv2_*in22k", "convnext_*in22k", "convnextv2_*", "maxvit_*in21k",
                 "coatnet_*in12k"):  # fmt: skip
        assert fnmatch.filter(CARDS, f"timm:{kind}"), kind


@pytest.mark.parametrize(
    ("names", "licence", "commercial"),
    [  # specification 1
        ("uni uni2-h virchow2 h-optimus-1 h0-mini conch conch-v1.5 gpfm mstar musk", "cc-by-nc-nd-4.0", "no"),
        ("h-optimus-0 hibou-b hibou-l openmidnight", "apache-2.0", "yes"),
        ("midnight-12k quiltnet-b32 quiltnet-b16 quiltnet-b16-pmb", "mit", "yes"),
        ("virchow", "apache-2.0", "unknown"),
        ("phikon phikon-v2", "owkin-non-commercial", "no"),
        ("kaiko-s16 kaiko-s8 kaiko-b16 kaiko-b8 kaiko-l14", "kaiko-non-commercial", "no"),
        ("lunit-s16 lunit-s8", "lunit-non-commercial", "no"),
        ("ctranspath", "gpl-3.0", "unknown"),
        ("timm:convnextv2_base.fcmae_ft_in22k_in1k", "cc-by-nc-4.0", "no"),
        ("dinov3-base", "dinov3-license", "unknown"),
        ("sam-b sam2.1-tiny medsam", "apache-2.0", "yes"),
    ],
)
def test_licences_and_what_they_allow(names: str, licence: str, commercial: str) -> None:
    for name in names.split():
        assert (CARDS[name].licence, CARDS[name].commercial) == (licence, commercial), name


def test_what_must_be_asked_for() -> None:  # specification 1
    clicks = words("uni uni2-h virchow virchow2 gigapath h-optimus-0 conch conch-v1.5 mstar musk")
    assert all(CARDS[name].gated == "click" for name in clicks)
    assert all(CARDS[name].gated == "manual" for name in ("h-optimus-1", "h0-mini", "kimianet", "remedis", "sam3"))
    assert all(CARDS[name].gated == "unavailable" for name in ("rudolfv", "pluto", "atlas-2"))
    for name in words("phikon phikon-v2 ctranspath plip kaiko-b8 gpfm lunit-s8 sam-b"):
        assert CARDS[name].gated == "none"


def test_encoders_are_filtered() -> None:
    every = list_encoders()
    assert len(every) == len(CARDS)
    small = list_encoders(max_params=30e6)
    assert small
    assert all(card.params and card.params <= 30e6 for card in small)
    product = {card.name for card in list_encoders(group="pathology", commercial=True)}
    assert "h-optimus-0" in product
    assert not product & {"uni", "virchow", "ctranspath"}
    rest = {card.name for card in list_encoders(group="pathology", commercial=False)}
    assert product | rest == {card.name for card in list_encoders(group="pathology")}
    assert "uni" in {card.name for card in list_encoders(gated=True)}
    assert "uni" not in {card.name for card in list_encoders(gated=False)}
    for wrong in (0, -1, float("nan")):
        with pytest.raises(InputError, match="leaves nothing"):
            list_encoders(max_params=wrong)


@pytest.mark.parametrize(
    ("written", "name"),
    [("UNI", "uni"), ("uni2_h", "uni2-h"), ("H-Optimus-0", "h-optimus-0"), ("CONCH_v1_5", "conch-v1.5"),
     ("sam2.1_base_plus", "sam2.1-base-plus"), ("hf:MahmoodLab/UNI2-h", "uni2-h"),
     ("hf:kaiko-ai/midnight", "midnight-12k")],
)  # fmt: skip
def test_names_may_be_written_as_people_write_them(written: str, name: str) -> None:
    assert get_card(written).name == name


def test_names_stay_apart_when_written_plainly() -> None:
    plain = [re.sub(r"[-_. ]", "", name.lower()) for name in CARDS]
    assert len(set(plain)) == len(plain)


def test_wildcards_select_by_name() -> None:
    found = [card.name for card in list_encoders("dinov2-*")]
    assert found == ["dinov2-small", "dinov2-base", "dinov2-large", "dinov2-giant"]
    assert list_encoders("no-such-*") == []
    found = {card.name for card in list_encoders("timm:convnext_atto.*")}
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
        ("virchw2", "virchow2"),
        ("ctranspth", "ctranspath"),
        ("prov-gigapath", "gigapath"),
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
    assert all(why_unavailable(card) is None for card in list_encoders() if card.family != "none")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert ".[hf]" in (why_unavailable(get_card("dinov2-small")) or "")


def test_cards_can_be_read_without_any_model_library() -> None:
    import histoseed

    code = (
        "import sys; from histoseed.encoders import list_encoders, get_card, why_unavailable; "
        "[why_unavailable(c) for c in list_encoders()]; get_card('timm:resnet18.a1_in1k'); "
        "print([m for m in ('torch', 'timm', 'transformers') if m in sys.modules])"
    )
    source = str(Path(histoseed.__file__).parents[1])
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={"PYTHONPATH": source}, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_tables_of_the_documentation_are_made_from_the_cards() -> None:
    text = (Path(__file__).parents[2] / "docs" / "encoders.md").read_text(encoding="utf-8")
    missing = [group for group in GROUPS if markdown_table(group) not in text]
    assert missing == [], "write them anew: python -m histoseed.encoders.table docs/encoders.md"
    assert sum(line.startswith("| `") for line in text.splitlines()) >= len(CARDS)


def test_weights_that_are_missing_here_are_named(tmp_path: Path) -> None:
    store = WeightsStore(tmp_path / "store")
    for name, words in (
        ("uni2-h", 'click "Agree and access repository"'),
        ("phikon-v2", "`histoseed weights get phikon-v2`"),
        ("pathosam-b", "then `histoseed weights get pathosam-b --from FILE`"),
        ("kimianet", "ask for KimiaNetPyTorchWeights.pth at https://"),
        ("rudolfv", "never released"),
    ):
        assert words in (why_no_weights(get_card(name), store) or "")
    for name in ("uni2-h", "phikon-v2"):
        card = get_card(name)
        assert why_unavailable(card) is None  # it can be built
        assert str(store.place(card)) in (why_no_weights(card, store) or "")
        (tmp_path / "w.bin").write_bytes(b"w")
        kept = store.keep(card, tmp_path / "w.bin")
        assert why_no_weights(card, store) is None
        store.path(card, kept).unlink()
        assert why_no_weights(card, store)
    assert why_no_weights(get_card("bundled"), store) is None
