"""The report of promptable models: published tables beside ours, with pictures of cases.

``published`` holds what others measured; ``experiments`` what was run here; ``labels`` says how results differ;
``tables`` and ``figures`` show them; ``contents`` puts a :class:`~histoseed.benchmarking.report.document.Document`
together, which the parts of :mod:`histoseed.benchmarking.report` write; ``files`` is the way in.
"""

from __future__ import annotations

from histoseed.benchmarking.prompted.report.experiments import Experiment
from histoseed.benchmarking.prompted.report.files import write_prompt_report

__all__ = ["Experiment", "write_prompt_report"]
