"""The licence gate: the table of the documentation, and what a card's parts come to."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from histoseed.encoders import get_card
from histoseed.segmenters import EncoderEntry, MethodOptions, ModelCard, TrainingData
from histoseed.segmenters.licensing import RULES, ModelPart, decide, parts_of

PAGE = Path(__file__).parents[2] / "docs" / "model-bundles.md"
ORDER = ("open", "private", "never")


def card(
    *, name: str = "timm:resnet18.a1_in1k", method: str = "frozen", data: tuple[TrainingData, ...] = (), **entry: Any
) -> ModelCard:
    """A model on an encoder of the hub whose weights were left as they are."""
    of = get_card(name)
    facts: dict[str, Any] = {
        "weights": "hub", "stored": False, "changed": False, "licence": of.licence, "commercial": of.commercial,
    }  # fmt: skip
    return ModelCard(
        histoseed="0", name="m", mpp=0.25, data=data, method=MethodOptions(name=method),  # type: ignore[arg-type]
        encoder=EncoderEntry(name=name, **(facts | entry)),
    )  # fmt: skip


def test_the_table_of_the_documentation_is_the_rule() -> None:
    text = PAGE.read_text("utf-8").partition("<!-- table rules -->")[2].partition("<!-- end -->")[0]
    head, _, *rows = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in text.split("\n") if line]
    assert {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows} == {
        terms: dict(uses) for terms, uses in RULES.items()
    }


def test_no_use_is_milder_than_a_lesser_one() -> None:
    """More of an encoder in the files never makes a model freer, but for the gate, which unchanged copies go around."""
    for terms, uses in RULES.items():
        steps = [ORDER.index(uses[use]) for use in ("left-out", "included", "changed")]
        assert steps == sorted(steps) or terms == "gated"
    assert RULES["no-derivatives"]["changed"] == "never"
    assert all(uses[use] != "open" for terms, uses in RULES.items() for use in uses
               if terms in {"unknown", "non-commercial", "no-derivatives"})  # fmt: skip


@pytest.mark.parametrize(
    ("name", "entry", "method", "use", "terms", "gated", "decision"),
    [
        ("timm:resnet18.a1_in1k", {}, "frozen", "left-out", "permissive", False, "open"),
        ("timm:resnet18.a1_in1k", {"stored": True, "changed": True}, "full", "changed", "permissive", False, "open"),
        ("uni2-h", {}, "frozen", "left-out", "no-derivatives", True, "private"),
        ("uni2-h", {}, "lora", "left-out", "no-derivatives", True, "private"),
        ("uni2-h", {"stored": True, "weights": "uni.bin"}, "frozen", "included", "no-derivatives", True, "never"),
        ("uni2-h", {"stored": True, "changed": True}, "full", "changed", "no-derivatives", True, "never"),
        ("uni2-h", {"changed": True}, "last-block", "changed", "no-derivatives", True, "never"),
        ("uni2-h", {"weights": "random", "stored": True}, "full", "included", "permissive", False, "open"),
        ("gpfm", {"stored": True}, "frozen", "included", "no-derivatives", False, "private"),
        ("gpfm", {"stored": True, "changed": True}, "full", "changed", "no-derivatives", False, "never"),
        ("h-optimus-0", {}, "lora", "left-out", "permissive", True, "open"),
        ("h-optimus-0", {"stored": True}, "frozen", "included", "permissive", True, "never"),
        ("h-optimus-0", {"stored": True, "changed": True}, "full", "changed", "permissive", True, "private"),
        ("kaiko-s16", {}, "frozen", "left-out", "non-commercial", False, "private"),
        ("virchow", {}, "frozen", "left-out", "unknown", True, "private"),  # sources disagree
        ("ctranspath", {}, "frozen", "left-out", "unknown", False, "private"),  # GPL, for weights
        ("dinov3-small", {"stored": True, "changed": True}, "full", "changed", "unknown", False, "private"),
    ],
)
def test_encoders(
    name: str, entry: dict[str, Any], method: str, use: str, terms: str, gated: bool, decision: str
) -> None:
    model = card(name=name, method=method, **entry)
    (part,) = parts_of(model)
    assert (part.key, part.use, part.terms, part.gated) == ("encoder", use, terms, gated)
    assert part.decision == decide([part]) == decision
    assert name in part.sentence()


@pytest.mark.parametrize(
    ("stored", "method", "changed"),
    [(True, "frozen", True), (False, "frozen", False), (False, "lora", False), (False, "bitfit", True)],
)
def test_an_older_card_that_does_not_say_it(stored: bool, method: str, changed: bool) -> None:
    assert card(method=method, stored=stored, changed=None).encoder_changed == changed


def test_the_strictest_part_decides() -> None:
    def data(name: str, licence: str | None, commercial: Any) -> TrainingData:
        return TrainingData(name=name, licence=licence, commercial=commercial)

    free, alike = data("a", "CC0-1.0", "yes"), data("b", "CC-BY-SA-4.0", "yes")
    pannuke, own = data("c", "CC-BY-NC-SA-4.0", "no"), data("d", None, "unknown")
    for several in itertools.chain.from_iterable(
        itertools.combinations((free, alike, pannuke, own), n) for n in (1, 2)
    ):
        expected = "private" if {pannuke.name, own.name} & {one.name for one in several} else "open"
        assert decide(parts_of(card(data=several))) == expected
    assert [part.key for part in parts_of(card(data=(free, alike)))] == ["encoder", "data:a", "data:b"]


def test_a_data_set_that_was_used_twice_counts_with_its_stricter_licence() -> None:
    twice = (TrainingData(name="a", licence="CC0-1.0", commercial="yes"), TrainingData(name="a", licence=None))
    for order in (twice, twice[::-1]):
        _, part = parts_of(card(data=order))
        assert part.terms == "unknown"


def test_two_licences_that_each_want_the_whole() -> None:
    def part(name: str, licence: str) -> ModelPart:
        return ModelPart(
            key=f"data:{name}", name=name, licence=licence, commercial="yes", terms="share-alike", use="trained-on"
        )

    assert decide([part("a", "CC-BY-SA-4.0"), part("b", "cc-by-sa-4.0")]) == "open"
    assert decide([part("a", "CC-BY-SA-4.0"), part("b", "ODbL-1.0")]) == "private"


def test_every_word_of_the_table_is_explained() -> None:
    text = PAGE.read_text("utf-8")
    for word in {*RULES, *RULES["gated"], *(one for row in RULES.values() for one in row.values())}:
        assert re.search(rf"[`|*] ?{word}[`* ]", text, re.IGNORECASE), word
