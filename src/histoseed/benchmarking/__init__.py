"""Benchmarks: which encoder, which adaptation, how many annotations. From a plan to runs, and from runs to a page."""

from histoseed.benchmarking.plan import Plan, read_plan, ready_plans
from histoseed.benchmarking.units import RESULT_VERSION
from histoseed.benchmarking.verbs import plan_benchmark, report_benchmark, run_benchmark

__all__ = [
    "RESULT_VERSION",
    "Plan",
    "plan_benchmark",
    "read_plan",
    "ready_plans",
    "report_benchmark",
    "run_benchmark",
]
