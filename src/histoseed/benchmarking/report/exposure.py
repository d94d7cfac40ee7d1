"""What the arms have seen before, and under which licences they and the data sets stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from histoseed.benchmarking.report.arms import Arm
from histoseed.benchmarking.report.document import Table, Value
from histoseed.benchmarking.report.findings import Findings
from histoseed.benchmarking.report.results import Run
from histoseed.datasets.families import VERDICTS, Verdict

__all__ = ["commercial_words", "exposure_table", "licence_of", "licence_tables", "seen_words", "verdict_of"]

_KNOWN = ("yes", "unknown", "no")


def verdict_of(row: Mapping[str, Any]) -> Verdict:
    """Whether the scored patches of a result were seen before.

    Results of before names were compared by their families have no ``seen_related``: their "no" only says that the data
    set was not listed, unless all began as random numbers.
    """
    value = row.get("seen")
    found: Verdict = next((verdict for verdict in VERDICTS if verdict == value), "unknown")
    random = row.get("seen_why") == "The encoder started from random weights."
    return "not listed" if found == "no" and "seen_related" not in row and not random else found


def _seen(run: Run) -> str:
    """The verdict as tables say it: ``perhaps (nucls_cc0_sample)``."""
    verdict = verdict_of(run.row)
    related = ", ".join(map(str, run.row.get("seen_related") or ()))
    return f"{verdict} ({related})" if verdict == "perhaps" and related else verdict


def _rank(answer: str) -> tuple[int, str]:
    """The worst answer comes first, whatever it is about."""
    words: list[str] = [*VERDICTS]
    return words.index(answer.partition(" (")[0]), answer


def _commercial(run: Run) -> str:
    value = str((run.row.get("licence") or {}).get("commercial") or "unknown")
    return value if value in _KNOWN else "unknown"


def seen_words(found: Findings, arm: Arm) -> str:
    """What an arm has seen of the data sets that it is scored on: ``no``, or ``yes: gbm40; not listed: pannuke``."""
    return _by_answer(found, arm, _seen, _rank)


def commercial_words(found: Findings, arm: Arm) -> str:
    """Whether what comes of an arm may be used commercially, in the same form."""
    return _by_answer(found, arm, _commercial, _KNOWN.index)


def _by_answer(found: Findings, arm: Arm, answer_of: Callable[[Run], str], rank: Callable[[str], Any]) -> str:
    by_answer: dict[str, dict[str, None]] = {}
    for run in found.results.of_arm(arm):
        by_answer.setdefault(answer_of(run), {})[run.dataset] = None
    if len(by_answer) == 1:
        return next(iter(by_answer))
    return "; ".join(f"{answer}: {', '.join(sorted(by_answer[answer]))}" for answer in sorted(by_answer, key=rank))


def exposure_table(found: Findings) -> Table | None:
    """Encoders and sources with what they have seen, and the reason; data sets with one reason stand together."""
    rows: dict[tuple[str, str, str], dict[str, None]] = {}
    for arm in found.arms:
        for run in found.results.of_arm(arm):
            source = arm["source"] if arm["source"] != "none" else ""
            start = f"{arm['encoder']}, source {source}" if source else arm["encoder"]
            rows.setdefault((start, _seen(run), str(run.row.get("seen_why") or "")), {})[run.dataset] = None
    order = sorted(rows, key=lambda row: (_rank(row[1]), row))
    body: list[list[Value]] = [[start, ", ".join(sorted(rows[start, seen, why])), seen, why or None]
                               for start, seen, why in order]  # fmt: skip
    header = ["encoder", "data sets", "seen", "why"]
    title = "Has the encoder, or what it was trained on before, seen the data? Only names are compared"
    return Table(title, header, body, "llll")


def licence_of(found: Findings, arm: Arm) -> str:
    """The licence of the weights that an arm starts from."""
    licences = {str((run.row.get("licence") or {}).get("encoder") or "unknown") for run in found.results.of_arm(arm)}
    return "; ".join(sorted(licences))


def licence_tables(found: Findings) -> Iterator[Table]:
    """The data sets: licence, groups, patches, fingerprint."""
    rows: list[list[Value]] = []
    for dataset in found.results.datasets:
        run = found.results.of_dataset(dataset)[0]
        licence = (run.row.get("licence") or {}).get("dataset") or "unknown"
        row: list[Value] = [dataset, found.score_of(dataset), licence, run.row.get("train_groups")]
        row += [len(run.row.get("test_groups") or ()) or None, run.row.get("test_patches"), run.row.get("split")]
        rows.append([*row, str(run.row.get("dataset_fingerprint") or "").removeprefix("sha256:")[:12] or None])
    header = [
        "data set",
        "score",
        "licence",
        "train groups",
        "test groups",
        "test patches",
        "split",
        "fingerprint",
    ]
    if rows:
        yield Table("Data sets", header, rows, "lllrrrll")
