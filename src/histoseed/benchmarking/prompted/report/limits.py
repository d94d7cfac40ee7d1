"""What the page cannot show, said in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from histoseed.benchmarking.prompted.report.experiments import Experiment
from histoseed.benchmarking.prompted.report.times import device_words
from histoseed.benchmarking.report.limits import FEW_GROUPS
from histoseed.benchmarking.report.wording import joined

__all__ = ["limit_sentences"]

_NAMED = 6


def limit_sentences(experiments: Sequence[Experiment]) -> Iterator[str]:
    """A sentence for everything that a reader might take from the page and should not."""
    results = [one for found in experiments for one in found.results]
    if not results:
        yield "There is no result yet."
        return
    if any(found.published is not None for found in experiments):
        yield (
            "Published figures were measured on other data, by other people, partly with another protocol: standing "
            "beside ours they say what was reported, and are no test of either side."
        )
    if any(found.random for found in experiments):
        names = sorted({one.model.name for one in results if one.model.random_weights})
        yield (
            f"Models of this page started from random weights ({_some(names)}). Their rows show that every step runs, "
            "and that is all: they say nothing about these architectures or about published weights."
        )
    few = sorted({one.groups for one in results if one.groups < FEW_GROUPS})
    if few:
        counts = f"{few[0]}" if len(few) == 1 else f"{few[0]} to {few[-1]}"
        yield f"Some results come from few patients or slides ({counts}): their intervals are too narrow."
    yield (
        "Prompts are drawn by a simulated user around the annotated outline. People place boxes and clicks "
        "differently, and stop when an outline pleases them."
    )
    yield "A mean over objects follows the sizes that are common: the tables by size say where it comes from."
    devices = sorted({device_words(t) for one in results if (t := one.timing) is not None})
    if devices:
        yield f"Times hold for one machine and the load it had ({joined(devices)}); those of others are theirs."
    if len({one.seed for one in results}) == 1:
        yield "There is one seed: what another draw of prompts, or another training, would change is not known."


def _some(names: Sequence[str]) -> str:
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return joined([*names[:_NAMED], *more])
