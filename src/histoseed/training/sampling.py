"""Which few patches are annotated: a seeded, nested draw, spread over slides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.wording import agreed

__all__ = ["nested_draw"]


def nested_draw(groups: Sequence[str], objects: npt.ArrayLike, count: int, seed: int, *, least: int = 5) -> list[int]:
    """Indices of ``count`` candidate patches, in the order in which they would be annotated.

    Draws of one seed are nested: the first patch of a draw of 8 is the draw of 1. Slides take turns, so that few
    patches cover many slides; crops with fewer than ``least`` objects come last, since nobody annotates glass first.

    Args:
        groups: Slide or patient of each candidate.
        objects: Annotated objects of each candidate. Shape (N,).
        count: How many to draw.
        seed: Names the draw.
        least: Fewest objects of a crop worth annotating.

    Raises:
        InputError: more are asked for than there are.

    >>> slides, objects = ["a", "a", "b", "b"], [9, 9, 9, 0]
    >>> nested_draw(slides, objects, 3, seed=0)[:2] == nested_draw(slides, objects, 2, seed=0)
    True
    """
    numbers = np.asarray(objects)
    if not 1 <= count <= len(groups):
        what = f"{agreed('{count} {patch was|patches were} asked for', count)}; the data set gives {len(groups):,}."
        raise InputError(what, where="--patches", fix=f"Ask for 1 to {len(groups)}.")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(groups))
    queues: dict[str, list[int]] = {}
    for index in sorted(order, key=lambda i: bool(numbers[i] < least)):  # stable: the rich ones first
        queues.setdefault(groups[index], []).append(int(index))
    drawn: list[int] = []
    for rich in (True, False):
        waiting = {name: [i for i in queue if (numbers[i] >= least) == rich] for name, queue in queues.items()}
        while any(waiting.values()):
            drawn += [queue.pop(0) for queue in waiting.values() if queue]
    return drawn[:count]
