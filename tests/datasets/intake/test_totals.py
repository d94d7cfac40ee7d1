"""Published numbers against tables."""

from dataclasses import replace

import polars as pl
import pytest

from histoseed.datasets import Dataset, DatasetCard, Total, check_totals
from histoseed.errors import InputError

CARD = DatasetCard(
    name="x", title="X", task="t", organ="o", stain="s", mpp="1", counts="c", licence=None, commercial="unknown",
    where="w", citation="c", group="g", layout="l",
    parts={"one": "1", "two": "2"}, schemes={"fine": ("a",), "coarse": ("b",)},
    totals=(
        Total(measure="patches", value=4, source="paper"),
        Total(measure="patches", value=3, where={"patient": "p1"}, source="paper"),
        Total(measure="objects", value=9, source="paper"),
        Total(measure="objects", value=3, where={"class_name": "tumour"}, source="paper", scheme="fine"),
        Total(measure="empty", value=1, source="paper"),
        Total(measure="slides", value=3, source="paper"),
        Total(measure="patients", value=7, source="paper", part="two"),
    ),
)  # fmt: skip


def test_every_measure(tiny: Dataset):
    checked = check_totals(CARD, None, None, tiny.patches, tiny.instances)
    assert [(one.found, one.equal) for one in checked] == [
        (4, True), (2, False), (9, True), (3, True), (1, True), (3, True),
    ]  # fmt: skip
    assert checked[1].what == "patches, patient p1"
    assert checked[4].what == "patches without objects"


def test_parts_and_schemes_choose(tiny: Dataset):
    assert [one.found for one in check_totals(CARD, "two", None, tiny.patches, tiny.instances)] == [2]
    assert len(check_totals(CARD, None, "coarse", tiny.patches, tiny.instances)) == 5


def test_an_unknown_column_is_told(tiny: Dataset):
    card = replace(CARD, totals=(Total(measure="objects", value=1, where={"klass": "a"}, source="s"),))
    with pytest.raises(InputError, match="klass"):
        check_totals(card, None, None, tiny.patches, tiny.instances)


def test_regions_are_counted_by_their_layer(tiny: Dataset):
    instances = tiny.instances.with_columns(pl.lit("region").alias("layer"))
    card = replace(CARD, totals=(Total(measure="objects", value=9, where={"layer": "region"}, source="s"),))
    assert check_totals(card, None, None, tiny.patches, instances)[0].equal
