"""The benchmark of promptable models: plans with ``task = "prompt"``, their units, results and report."""

from __future__ import annotations

from histoseed.benchmarking.prompted.results import PROMPT_RESULT_VERSION, Case, PromptResult, Score, ScoredModel

__all__ = ["PROMPT_RESULT_VERSION", "Case", "PromptResult", "Score", "ScoredModel"]
