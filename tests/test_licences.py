"""What licence texts allow, alone and together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoseed.encoders.registry import CARDS
from histoseed.licences import combined_licence, commercial_use, most_restrictive, strictest, terms_of

TEXTS = {
    "CC0-1.0": ("permissive", "yes"),
    "cc-by-4.0": ("permissive", "yes"),
    "CC BY 4.0": ("permissive", "yes"),
    "MIT License": ("permissive", "yes"),
    "Apache License, Version 2.0": ("permissive", "yes"),
    "BSD 3-Clause License": ("permissive", "yes"),
    "CC0-1.0, Apache-2.0 or BSD-3-Clause": ("permissive", "yes"),
    "CC-BY-SA-4.0": ("share-alike", "yes"),
    "ODbL-1.0": ("share-alike", "yes"),
    "gpl-3.0": ("share-alike", "unknown"),
    "cc-by-nc-4.0": ("non-commercial", "no"),
    "CC-BY-NC-SA-4.0": ("non-commercial", "no"),
    "apache-2.0 with commons clause": ("non-commercial", "no"),
    "apache-2.0 with conditions (research only)": ("non-commercial", "no"),
    "kaiko-non-commercial": ("non-commercial", "no"),
    "fair-noncommercial-research-license": ("non-commercial", "no"),
    "cc-by-nc-nd-4.0": ("no-derivatives", "no"),
    "CC BY-ND 4.0": ("no-derivatives", "unknown"),
    "no derivatives": ("no-derivatives", "unknown"),
    "dinov3-license": ("unknown", "unknown"),
    "MIT or proprietary": ("unknown", "unknown"),
    "apache-2.0 with conditions": ("unknown", "unknown"),
    "unconfirmed: Apache-2.0": ("unknown", "unknown"),
    "by": ("unknown", "unknown"),
    "": ("unknown", "unknown"),
    None: ("unknown", "unknown"),
    "cc-by-nc-nd-4.0 + CC0-1.0": ("no-derivatives", "no"),
    "apache-2.0 + some other": ("unknown", "unknown"),
}


@pytest.mark.parametrize("text", TEXTS)
def test_texts(text: str | None) -> None:
    assert (terms_of(text), commercial_use(text)) == TEXTS[text]


NAMED = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "d", "e"]), st.sampled_from([*TEXTS, "see the paper"])), min_size=1,
    max_size=5, unique_by=lambda pair: pair[0],
)  # fmt: skip


@given(NAMED)
def test_what_is_put_together_allows_what_all_its_parts_allow(named: list[tuple[str, str | None]]) -> None:
    """A licence that is not stated stays unknown in the text of several."""
    text = combined_licence(named)
    assert terms_of(text) == strictest([terms_of(licence) for _, licence in named])
    assert commercial_use(text) == most_restrictive([commercial_use(licence) for _, licence in named])


def test_no_card_of_an_encoder_says_more_than_its_licence() -> None:
    for card in CARDS.values():
        told = commercial_use(card.licence)
        assert most_restrictive([card.commercial, told]) == card.commercial, card.name
