"""Results of promptable models as JSON: they come back as they went, and damaged ones are refused."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures import prompt_results as made
from histoseed.benchmarking.prompted.results import PROMPT_RESULT_VERSION, PromptResult, Score
from histoseed.errors import InputError
from histoseed.metrics.bootstrap import Interval

NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
SCORES = st.dictionaries(st.text(max_size=8), st.builds(Score, NUMBERS, NUMBERS, NUMBERS), max_size=4)


def there_and_back(result):
    return PromptResult.from_json(json.loads(json.dumps(result.as_json(), allow_nan=False)))


def test_every_part_comes_back(tmp_path):
    for experiment in made.experiments(tmp_path):
        for result in experiment.results:
            assert there_and_back(result) == result


@given(scores=SCORES, facts=st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text()))
def test_any_score_and_fact_comes_back(scores, facts):
    result = dataclasses.replace(made.result(), scores=scores, facts=facts)
    assert there_and_back(result) == result


def test_what_is_undefined_is_none():
    result = dataclasses.replace(made.result(), scores={"dice": Score(math.nan, -math.inf, 0.5)})
    assert there_and_back(result).scores == {"dice": Score(None, None, 0.5)}
    assert Score.of(Interval(math.nan, math.nan, math.nan, 1, 0.95)) == Score(None)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda row: row.update(version=PROMPT_RESULT_VERSION + 1), "version 2"),
        (lambda row: row.pop("version"), "version None"),
        (lambda row: row.pop("scores"), "scores"),
        (lambda row: row.pop("objects"), "objects"),
        (lambda row: row["model"].update(size=3), "size"),
        (lambda row: row.update(by_size=3), "cannot be read"),
        (lambda row: row.update(scores={"dice": 0.5}), "cannot be read"),
        (lambda row: row.update(cases=[{"kind": "nice"}]), "nice"),
    ],
)
def test_damaged_rows_are_refused(damage, says):
    row = made.result().as_json()
    damage(row)
    with pytest.raises(InputError, match=says):
        PromptResult.from_json(row)
