"""The report as one static page."""

from __future__ import annotations

from histoseed._version import __version__
from histoseed.benchmarking.report.document import Block, Document, Facts, Note, Numbers, Photo, Plot, Table, Text
from histoseed.pictures import Report

__all__ = ["render_page"]


def render_page(document: Document, date: str = "") -> str:
    """HTML that loads nothing from anywhere; its only script sorts tables.

    Args:
        document: The content.
        date: As it shall be read.
    """
    page = Report(document.title, document.subtitle, version=__version__, date=date)
    for section in document.sections:
        if not section.blocks:
            continue
        page.section(section.title)
        for block in section.blocks:
            _add(page, block, sortable=document.sortable)
    return page.render()


def _add(page: Report, block: Block, *, sortable: bool) -> None:
    match block:
        case Text(text):
            page.text(text)
        case Note(text, kind):
            page.note(text, kind=kind)
        case Numbers(values):
            page.numbers(values)
        case Facts(values):
            page.facts(values)
        case Plot(_, draw, caption, alt):
            pictures = draw()
            page.figure(pictures.light, caption, alt, dark=pictures.dark)
        case Photo(_, take, caption, alt):
            page.figure(take(), caption, alt)
        case Table(caption, header, rows, align, folded):
            page.table(header, rows, align, caption=caption, sortable=sortable and len(rows) > 1, folded=folded)
