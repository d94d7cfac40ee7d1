"""Everything that a report leaves on the disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from histoseed.benchmarking.report.contents import document_of
from histoseed.benchmarking.report.document import Document, Photo, Plot
from histoseed.benchmarking.report.findings import findings_of
from histoseed.benchmarking.report.flat import flat_table
from histoseed.benchmarking.report.machine import REPORT_KIND, machine_report
from histoseed.benchmarking.report.markdown import render_markdown
from histoseed.benchmarking.report.page import render_page
from histoseed.errors import OutputError
from histoseed.files import staged_folder, write_bytes, write_json, write_text

__all__ = ["check_page", "publish", "read_clock", "write_report"]

_PAGE, _MARKDOWN, _CSV, _PARQUET, _JSON = (
    "index.html", "report.md", "results.csv", "results.parquet", "report.json",
)  # fmt: skip

Row = Mapping[str, Any]


def write_report(
    rows: Sequence[Row],
    *,
    failed: Sequence[Row] = (),
    missing: Sequence[Row] = (),
    plan: Mapping[str, Any],
    out: Path | str,
    overwrite: bool = False,
) -> Path:
    """Write the report of a benchmark: a page, Markdown with plots, tables for others.

    Where an encoder started from random weights, nothing is ranked, and the title and every plot say why.

    Args:
        rows: The results, a mapping a run (``docs/benchmark.md``).
        failed: Runs that ended in an error: ``arm``, ``dataset``, ``budget``, ``draw``, ``seed``, ``error``.
        missing: What was never begun: ``arm``, ``dataset``, ``why``, ``runs``.
        plan: ``name``, ``title``, ``description`` and ``protocol`` of the plan.
        out: The folder to write; absent, empty, or with ``overwrite`` an earlier report.
        overwrite: Replace an earlier report.

    Returns:
        The page, ``out/index.html``.

    Raises:
        InputError: a result of another version, or an incomplete one.
        OutputError: ``out`` is not empty, or is no report that may be replaced.
    """
    folder = Path(out)
    check_page(folder, overwrite=overwrite)
    found = findings_of(rows, failed=failed, missing=missing, plan=plan)
    date = read_clock()
    report = machine_report(found, date)
    table = flat_table(found.results.runs)
    return publish(document_of(found), folder, table=table, report=report, date=date, overwrite=overwrite)


def publish(
    document: Document,
    folder: Path,
    *,
    table: pl.DataFrame,
    report: Mapping[str, Any],
    date: str,
    overwrite: bool = False,
) -> Path:
    """Write a document in all its forms: page, Markdown with pictures, tables and JSON for others.

    Args:
        document: The content.
        folder: Where :func:`check_page` found nothing in the way.
        table: One row a result.
        report: The same for machines, of the kind ``REPORT_KIND``.
        date: As it shall be read.
        overwrite: Replace an earlier report.

    Returns:
        The page.

    Raises:
        OutputError: ``folder`` is not empty, or cannot be written.
    """
    with staged_folder(folder, overwrite=overwrite) as stage:
        write_text(stage / _PAGE, render_page(document, date))
        write_text(stage / _MARKDOWN, render_markdown(document, date))
        for name, data in _pictures(document):
            write_bytes(stage / name, data)
        table.write_csv(stage / _CSV)
        table.write_parquet(stage / _PARQUET)
        write_json(stage / _JSON, dict(report))
    return folder / _PAGE


def read_clock() -> str:
    """The time as it stands on pages."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def _pictures(document: Document) -> Iterator[tuple[str, bytes]]:
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Plot):
                yield f"{block.name}.png", block.draw().light
            elif isinstance(block, Photo):
                yield f"{block.name}.jpg", block.draw()


def check_page(folder: Path, *, overwrite: bool) -> None:
    """Replacing a report must not cost anything else.

    Raises:
        OutputError: a folder that holds anything but an earlier report, which was to be replaced.
    """
    if not overwrite or not folder.is_dir() or not any(folder.iterdir()):
        return
    what = None
    if not _is_report(folder / _JSON):
        what = "The folder is no report of a benchmark and is not removed."
    else:
        known = {_PAGE, _MARKDOWN, _CSV, _PARQUET, _JSON}
        others = sorted(p.name for p in folder.iterdir() if p.name not in known and p.suffix not in {".png", ".jpg"})
        if others:
            what = f"The folder also holds {', '.join(others[:3])}, which would be removed."
    if what:
        raise OutputError(what, where=folder, fix="Choose another folder, or remove it yourself.")


def _is_report(path: Path) -> bool:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("kind") == REPORT_KIND
