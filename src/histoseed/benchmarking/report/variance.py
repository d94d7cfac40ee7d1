"""How much of the spread comes from the draw of the annotated patches, and how much from the seed of the training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Components", "variance_components"]


@dataclass(frozen=True, slots=True)
class Components:
    """Variances of a nested design, seeds within draws, pooled over cells.

    Args:
        draw: Variance between draws without what the seeds cause; None where it cannot be told apart.
        seed: Variance between seeds of one draw; None where no draw has two seeds.
        both: Variance between draws with one seed each; only where ``draw`` and ``seed`` cannot be told apart.
        draws: Degrees of freedom between draws.
        seeds: Degrees of freedom within draws.
    """

    draw: float | None
    seed: float | None
    both: float | None
    draws: int
    seeds: int


def variance_components(cells: Iterable[Sequence[Sequence[float]]]) -> Components:
    """Method of moments (one-way random-effects analysis of variance), pooled over cells.

    A cell is what is repeated: one arm on one data set with one number of annotations. Sums of squares and degrees of
    freedom add up over the cells; the components solve E[MS within] = seed, E[MS between] = seed + n0 draw, where n0
    is the number of seeds a draw (Searle, Casella and McCulloch, "Variance components", 1992, section 3.6). A negative
    estimate is shown as 0.

    Args:
        cells: For each cell the draws, for each draw the scores of its seeds; scores that are not finite are left out.

    >>> variance_components([[[1.0, 3.0], [5.0, 7.0]]])
    Components(draw=7.0, seed=2.0, both=None, draws=1, seeds=2)
    """
    between = within = coefficient = 0.0
    df_between = df_within = 0
    for cell in cells:  # plain numbers: there are many cells of very few scores
        draws = [finite for draw in cell if (finite := [score for score in draw if math.isfinite(score)])]
        if not draws:
            continue
        sizes = [len(draw) for draw in draws]
        means = [sum(draw) / len(draw) for draw in draws]
        whole = sum(sizes)
        middle = sum(size * mean for size, mean in zip(sizes, means, strict=True)) / whole
        within += sum((score - mean) ** 2 for draw, mean in zip(draws, means, strict=True) for score in draw)
        between += sum(size * (mean - middle) ** 2 for size, mean in zip(sizes, means, strict=True))
        df_within += whole - len(draws)
        df_between += len(draws) - 1
        coefficient += whole - sum(size**2 for size in sizes) / whole
    seed = within / df_within if df_within else None
    mean_square = between / df_between if df_between else None
    if mean_square is None:
        return Components(None, seed, None, df_between, df_within)
    if seed is None:
        return Components(None, None, mean_square, df_between, df_within)
    draw = max(0.0, (mean_square - seed) / (coefficient / df_between))
    return Components(draw, seed, None, df_between, df_within)
