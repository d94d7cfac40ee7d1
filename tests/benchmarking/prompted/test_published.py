"""Published numbers: nothing is there that was not published, and every number names its source."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from histoseed.benchmarking.prompted.report.labels import FIELDS
from histoseed.benchmarking.prompted.report.published import published_table, published_tables, sources
from histoseed.benchmarking.prompted.report.times import TIMES

# specification 8, headline numbers and counts of data sets
THESIS = {
    0.798, 0.831, 0.793, 0.834, 0.228, 0.553, 0.996, 0.061, 0.071, 0.124, 0.294, 0.897, 0.824, 0.906, 0.837, 0.856,
    0.874, 0.873, 0.885, 0.904, 0.323, 0.545, 0.496, 0.887, 0.795, 1.187, 7.196, 1.018, 0.399, 0.274, 0.898, 0.863,
    0.857, 0.853, 0.875, 0.886, 0.825, 0.835, 815, 182, 202, 1028, 254, 256, 1679, 477, 441, 13290,
}  # fmt: skip
# specification 9.3
THESIS |= {0.107, 0.27}
# specification 13
MICRO_SAM = {
    0.039, 0.27, 0.202, 1.46, 0.479, 3.67, 0.874, 5.07, 0.0096, 0.028, 0.0085, 0.026, 3.4, 19, 0.25, 1.24,
}  # fmt: skip
SAM2 = {47.2, 43.3, 34.8, 24.2, 38.9, 46, 80.8, 224.4}
DENG = {0.7498, 0.4165}
KNOWN = {"thesis": THESIS, "micro-sam": MICRO_SAM, "sam2": SAM2, "deng": DENG}
EXPERIMENTS = {
    "automatic", "data_sets", "encoder_sizes", "full_fine_tuning", "fusions", "generalisation", "losses", "mask_shift",
    "mask_types", "post_processing", "prompt_combinations", "training_prompts", "training_sets",
}  # fmt: skip


def numbers(row):
    pairs = [*row.scores.values(), *row.usability.values()]
    return {end for given in pairs for end in (given if isinstance(given, list) else [given])}


def test_the_experiments():
    assert set(published_tables()) == EXPERIMENTS
    assert published_table("no such plan") is None
    assert published_table("sources") is None


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_every_number_was_published_by_its_source(name):
    table = published_table(name)
    assert table.rows
    assert table.data
    for row in table.rows:
        assert numbers(row) <= KNOWN[row.source], row
        assert set(row.keys) == set(table.by) <= set(FIELDS), row


def test_nothing_published_was_forgotten():
    told = {source: set() for source in KNOWN}
    for name in EXPERIMENTS:
        for row in published_table(name).rows:
            told[row.source] |= numbers(row)
    assert told == KNOWN


def test_every_source_is_cited_in_full():
    assert set(sources()) == set(KNOWN)
    used = {source for name in EXPERIMENTS for source in published_table(name).sources}
    assert used == set(sources().values())


def test_values_are_written_as_results_write_them():
    seconds = {row.keys["model"] for row in published_table("encoder_sizes").rows if set(row.scores) & set(TIMES)}
    assert {"sam-vit-b", "sam2.1-hiera-b+"} <= seconds
    assert {row.keys["fusion"] for row in published_table("fusions").rows} == {
        "none", "refinement", "concat", "cross-attention", "encoder-only",
    }  # fmt: skip


def test_the_files_hold_no_path_of_a_machine():
    folder = resources.files("histoseed.benchmarking.prompted").joinpath("published")
    for path in folder.iterdir():
        assert not re.search(r"/(work|home|root)/", path.read_text(encoding="utf-8")), path
