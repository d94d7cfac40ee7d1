"""The report of a benchmark: one static page, Markdown with plots, and tables for others.

``results`` sorts runs into cells; ``resampling``, ``variance``, ``flips`` and ``ranks`` are plain statistics;
``findings`` works everything out once; ``contents`` says it as a :class:`Document`, which ``page`` and ``markdown``
write; ``files`` is the way in.
"""

from __future__ import annotations

from histoseed.benchmarking.report.files import write_report

__all__ = ["write_report"]
