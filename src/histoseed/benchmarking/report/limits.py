"""What the page cannot show: said in words, with numbers."""

from __future__ import annotations

from collections.abc import Iterator

from histoseed.benchmarking.report.findings import Findings
from histoseed.benchmarking.report.flips import flips_for, smallest_p
from histoseed.benchmarking.report.ranking import ALPHA, Ranking
from histoseed.benchmarking.report.wording import joined
from histoseed.wording import counted

__all__ = ["limit_sentences"]

FEW_GROUPS = 10
"""Below it a percentile interval is too narrow, and the reader is told."""


def limit_sentences(found: Findings) -> Iterator[str]:
    """A sentence for everything that a reader might take from the page and should not."""
    if not found.results.runs:
        yield "There is no result yet."
        return
    if found.random:
        names = sorted({arm["encoder"] for arm in found.arms if arm.random})
        encoders = joined([*names[:6], *([f"{len(names) - 6} more"] if len(names) > 6 else [])])
        yield (
            f"Encoders started from random weights: {encoders}. Their scores say what training from nothing reaches "
            "with these settings, and nothing about the architectures or about published weights: no ranking, no "
            "test and no critical difference is drawn from this page, and arms stand in alphabetical order."
        )
    yield from _draws(found)
    yield from _groups(found)
    if found.ranking is not None:
        yield from _tests(found.ranking, len(found.results.datasets))
        yield from _unranked(found, found.ranking)
    yield from _scores(found)
    yield from _costs(found)


def _draws(found: Findings) -> Iterator[str]:
    counts = {len(repeats.repeats) if repeats.unit == "draw" else 1 for repeats in found.repeats.values()}
    fewest = min(counts)
    if fewest == 1:
        yield (
            "Where there is a single draw of annotations, what another choice of annotations would change is not "
            "known, and no interval holds it."
        )
    elif fewest < 10:
        ahead = ""
        if found.ranking is not None and found.ranking.pairs:
            ahead = " The column \u201cahead in draws\u201d says in how many of them an arm was ahead."
        yield (
            f"With {counted(fewest, 'draw')} of annotations a test over draws alone could not give a p below "
            f"{smallest_p(fewest):.3g}, and intervals that resample so few draws are too narrow.{ahead}"
        )
    both = found.components()
    if both.both is not None:
        yield "There is one seed a draw: what the draw and what the seed of the training causes cannot be told apart."


def _groups(found: Findings) -> Iterator[str]:
    few = [name for name, repeats in found.repeats.items() if len(repeats.groups) < FEW_GROUPS]
    none = [name for name in few if not found.repeats[name].groups]
    single = [name for name in few if len(found.repeats[name].groups) == 1]
    some = [f"{name} ({len(found.repeats[name].groups)})" for name in few if name not in (*none, *single)]
    if some:
        yield f"Few test groups: {joined(some)}. Intervals drawn from so few are too narrow."
    if single:
        yield f"A single test group on {joined(single)}: what other patients would change is not known."
    if none:
        yield (
            f"On {joined(none)} the score is not kept for single test groups: what other patients would change is not "
            "known."
        )


def _tests(ranking: Ranking, datasets: int) -> Iterator[str]:
    blocks = len(ranking.blocks)
    if len(ranking.arms) > 1:
        p = min(1.0, smallest_p(blocks, flips_for(ranking.family)) * ranking.family)
        if p >= ALPHA:
            yield (
                f"The tests cannot find anything: with {counted(blocks, 'block')} and "
                f"{counted(ranking.family, 'pair')} the smallest possible p after Holm is {p:.3g}, however large a "
                "difference is."
            )
        yield (
            f"The tests speak of other patients of these data sets{'' if datasets > 1 else ', here of one data set'}. "
            "They do not speak of other data sets, other scanners or other settings of the training."
        )
    if len(ranking.arms) < 3:
        why = "there are fewer than three arms" if len(ranking.arms) > 1 else "there is one arm"
        yield f"No critical difference: {why} with results to compare."
    elif ranking.friedman is None:
        yield "No critical difference: fewer than two blocks have a score of every arm."
    if ranking.dropped and ranking.friedman is not None:
        yield (
            f"{counted(ranking.dropped, 'block')} without a score of every arm "
            f"{'is' if ranking.dropped == 1 else 'are'} left out of the ranks."
        )


def _unranked(found: Findings, ranking: Ranking) -> Iterator[str]:
    told = []
    for arm, (dataset, budget) in ranking.left_out[:12]:
        told.append(f"{found.names[arm]} (no score on {dataset} at N = {budget.label})")
    more = len(ranking.left_out) - len(told)
    if told:
        tail = f" and {counted(more, 'further arm')}" if more > 0 else ""
        yield f"Not ranked, since they lack what the ranked arms share: {'; '.join(told)}{tail}."
    shared = {(d, b) for d, b in ranking.cells}
    unused = sorted({(d, b) for _, d, b in found.results.cells if b.asked != 0} - shared)
    if unused:
        names = joined([f"{dataset} N = {budget.label}" for dataset, budget in unused[:12]])
        tail = f" and {len(unused) - 12} more" if len(unused) > 12 else ""
        yield f"Not part of the ranking, since not every ranked arm has it: {names}{tail}."


def _scores(found: Findings) -> Iterator[str]:
    if len(set(found.results.scores.values())) > 1:
        yield (
            f"Data sets are scored by different scores ({found.score_words()}): a mean over them orders arms, but is "
            "no quantity of its own."
        )
    if count := found.results.unscored():
        them = "it" if count == 1 else "them"
        yield f"{counted(count, 'run')} ended without the score that is shown: no mean holds {them}."
    if count := found.results.repeated:
        yield (
            f"{counted(count, 'result')} {'repeats' if count == 1 else 'repeat'} an arm, data set, N, draw and seed "
            "that is there already: they were averaged, but should have different settings or not be there."
        )
    lost = len({(row.get("dataset"), str(row.get("arm"))) for row in found.missing})
    parts = [counted(len(found.failed), "failed run")] if found.failed else []
    parts += [f"{counted(lost, 'missing combination')} of arm and data set"] if lost else []
    if parts:
        be, them = ("is", "it") if len(found.failed) + lost == 1 else ("are", "them")
        yield f"{joined(parts)} {be} listed above; the page says nothing about {them}."


def _costs(found: Findings) -> Iterator[str]:
    devices = sorted({str((run.row.get("cost") or {}).get("device") or "unknown") for run in found.results.runs})
    if len(devices) > 1:
        yield f"Runs were made on different devices ({joined(devices)}): their times cannot be compared."
    else:
        yield f"Times hold for one machine ({devices[0]}) and for the load it had."
