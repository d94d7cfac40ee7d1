"""The protocol of the benchmark in sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from histoseed.benchmarking.report.arms import setting_of
from histoseed.benchmarking.report.document import Block, Facts, Table, Text, Value
from histoseed.benchmarking.report.findings import Findings
from histoseed.benchmarking.report.flips import EXACT_BLOCKS, flips_for
from histoseed.benchmarking.report.repeats import RESAMPLES
from histoseed.benchmarking.report.wording import joined
from histoseed.wording import counted

__all__ = ["protocol_blocks"]


def protocol_blocks(found: Findings) -> Iterator[Block]:
    """What was trained, what was scored, how intervals and tests were made."""
    protocol = found.protocol
    if common := found.names.in_common():
        yield Text(common)
    if text := " ".join(_annotations(protocol)):
        yield Text(text)
    yield Text(" ".join(_scoring(found)))
    yield Text(" ".join(_intervals(found)))
    if text := " ".join(_tests(found)):
        yield Text(text)
    yield from _kinds(found)
    if untold := found.names.untold:
        rows = [[found.names[arm], *(setting_of(arm, name) or None for name in untold)] for arm in found.arms]
        header = ["arm", *(_words(name) for name in untold)]
        yield Table("Settings that the names of the arms do not say; a dash is the default", header, rows,
                    "l" * len(header))  # fmt: skip
    facts = {_words(key): _plain(value) for key, value in protocol.items()}
    if facts:
        yield Facts(facts)


def _annotations(protocol: Mapping[str, Any]) -> Iterator[str]:
    for unit in ("patches", "nuclei"):
        asked = protocol.get(unit)
        if isinstance(asked, list) and asked:
            numbers = joined([*map(str, asked)])
            yield f"Each arm is adapted with N annotated {unit} of the training part, for N = {numbers}."
            if 0 in asked:
                yield "N = 0 is the start as it is, without adaptation; only arms with a trained decoder have it."
    draws, seeds = protocol.get("draws"), protocol.get("seeds")
    if isinstance(draws, int):
        be = "is" if draws == 1 else "are"
        yield f"For each N there {be} {counted(draws, 'draw')} of annotations; a larger N keeps those of a smaller."
    if isinstance(seeds, int):
        yield f"Each draw is trained with {counted(seeds, 'seed')}. There is no further validation set."


def _scoring(found: Findings) -> Iterator[str]:
    names = sorted({str(run.row["protocol"]) for run in found.results.runs if run.row.get("protocol")})
    yield "The test set of a data set is the same for all arms, draws and seeds."
    if names:
        yield f"Scores follow the protocol {joined(names)} (docs/metrics.md)."
    window = found.protocol.get("test_um")
    if isinstance(window, int | float):
        yield f"Only the central window of {window:g} µm of each test patch is scored."
    most = found.protocol.get("test_patches")
    if isinstance(most, int):
        yield f"At most {counted(most, 'test patch')} of a data set {'is' if most == 1 else 'are'} scored."
    others = {d: k for d, k in found.results.scores.items() if k != found.results.asked_score}
    if others:
        told = joined([f"{name} by {found.score_of(name)}" for name in others])
        yield f"Not every data set has the score that the plan names: here {told}."


def _intervals(found: Findings) -> Iterator[str]:
    units = sorted({repeats.unit for repeats in found.repeats.values()})
    grouped = any(repeats.groups for repeats in found.repeats.values())
    what = [f"{unit}s" for unit in units] + (["test groups"] if grouped else [])
    yield "A score is the mean over draws of the means over seeds."
    yield (
        f"Intervals hold 95 % of {RESAMPLES:,} bootstrap resamples; {joined(what) or 'runs'} are drawn with "
        "replacement, independently of each other, and all arms see the same resamples. All arms share the test "
        "groups: intervals of two arms can overlap although the interval of their difference is clear of zero."
    )


def _tests(found: Findings) -> Iterator[str]:
    ranking = found.ranking
    if ranking is None or not ranking.pairs:
        return
    units = joined(sorted({f"{unit}s" for unit in ranking.block_units.values()}))
    yield (
        f"Paired tests are made over {units} ({counted(len(ranking.blocks), 'block')}): a block's difference is the "
        "mean over its draws, seeds and numbers of annotations, data sets weigh alike, and the signs of whole blocks "
        f"are flipped ({_patterns(found)}). Holm's correction counts "
        f"{counted(ranking.family, 'pair')}."
    )
    if ranking.friedman is not None:
        yield (
            "Mean ranks come from the same blocks: the Friedman test in the form of Iman and Davenport, then the "
            "critical difference of Nemenyi (Demsar, JMLR 7, 2006)."
        )


def _patterns(found: Findings) -> str:
    ranking = found.ranking
    if ranking is None or len(ranking.blocks) <= EXACT_BLOCKS:
        return "all patterns of signs"
    return f"{flips_for(ranking.family):,} random patterns of signs"


def _kinds(found: Findings) -> Iterator[Table]:
    """What trains and what is scored on each data set."""
    rows: dict[tuple[str, str], dict[str, None]] = {}
    for run in found.results.runs:
        # Runs differ in how many objects they were trained with; the kind is what matters here.
        trained = re.sub(r"^[\d,.]+ ", "", str(run.row.get("trained") or ""))
        scored = str(run.row.get("scored") or "")
        if trained or scored:
            rows.setdefault((trained, scored), {})[run.dataset] = None
    body: list[list[Value]] = [
        [", ".join(sorted(datasets)), trained or None, scored or None] for (trained, scored), datasets in rows.items()
    ]
    if body:
        yield Table("What trains and what is scored", ["data sets", "trains", "is scored"], body, "lll")


_FACTS = {
    "test_um": "test window (µm)",
    "resamples": "resamples of a run's own intervals",
}


def _words(key: str) -> str:
    return _FACTS.get(key, key.replace("_", " "))


def _plain(value: object) -> Value:
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else value
