"""Combinations of prompts and the order in which they open; the plan."""

from __future__ import annotations

import numpy as np
import pytest

from histoseed.errors import HistoseedError
from histoseed.prompting.simulate import TRAINING_COMBINATIONS
from histoseed.training.prompted import PromptedPlan, combinations_of
from histoseed.training.prompted.curriculum import draw_combination


def told(prompts: str) -> list[str]:
    return [str(spec) for spec in combinations_of(prompts)]


def test_a_combination_trains_on_its_parts_and_a_list_on_nothing_else() -> None:
    assert told("all") == [
        "box+5pos+5neg+mask:loose", "5pos+5neg+mask:loose", "box+5pos+5neg", "mask:loose", "box",
    ]  # fmt: skip
    assert told("box+5neg") == ["box+5neg", "box"]  # negative points alone say nothing about the inside
    assert told("box,box,1pos") == ["box", "1pos"]


@pytest.mark.parametrize("spec", [str(spec) for spec in TRAINING_COMBINATIONS])
def test_the_eleven_published_combinations_can_be_trained_on(spec: str) -> None:
    if spec in {"5neg"}:
        with pytest.raises(HistoseedError, match="never says where"):
            combinations_of(spec)
    else:
        assert told(spec)[0] == spec


def test_mixed_draws_all_alike_and_growing_opens_them_one_by_one() -> None:
    combinations = combinations_of("all")

    def seen(curriculum: str, share: float) -> dict[str, int]:
        rng = np.random.default_rng(0)
        drawn = [str(draw_combination(combinations, curriculum, share, rng)) for _ in range(1000)]  # type: ignore[arg-type]
        return {spec: drawn.count(spec) for spec in dict.fromkeys(drawn)}

    even = seen("mixed", 0.0)
    assert len(even) == 5
    assert all(150 < count < 250 for count in even.values())
    assert [len(seen("growing", share)) for share in (0.0, 0.12, 0.13, 0.25, 0.49, 0.5, 1.0)] == [1, 1, 2, 3, 4, 5, 5]
    assert list(seen("growing", 0.0)) == [str(combinations[0])]


def test_steps_rates_and_sizes() -> None:
    plan = PromptedPlan(epochs=3, batch=4, accumulate=2, warmup=2, learning_rate=1.0)
    assert (plan.step_size(), plan.total_steps(17)) == (8, 9)
    assert PromptedPlan(steps=5).total_steps(1000) == 5
    assert [round(plan.rate(i, 9), 3) for i in (0, 1, 9)] == [0.5, 0.97, 0.01]
    assert PromptedPlan(schedule="constant", warmup=1, learning_rate=0.1).rate(500, 9) == 0.1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0), ("steps", 0), ("batch", 0), ("accumulate", 0), ("learning_rate", float("nan")),
        ("weight_decay", -1.0), ("method", "adapter"), ("loss", "mse"), ("curriculum", "hard"), ("windows", "all"),
        ("schedule", "step"), ("prompts", "5neg"), ("prompts", "boxes"), ("jitter", "1"), ("clip", 0.0),
    ],
)  # fmt: skip
def test_a_plan_that_makes_no_sense_is_refused(field: str, value: object) -> None:
    with pytest.raises(HistoseedError):
        PromptedPlan(**{field: value})  # type: ignore[arg-type]
