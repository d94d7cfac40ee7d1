"""histoseed: grow trustworthy instance segmentation of histology slides from a few annotations.

The functions are imported when they are first used; ``import histoseed`` itself is quick and imports no torch::

    import histoseed

    model = histoseed.adapt("data/mine", patches=2, out="models/mine")
    histoseed.segment("slide.svs", model="models/mine", out="result")
    histoseed.evaluate("data/test", model="models/mine")["pq"]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from histoseed._version import __version__
from histoseed.errors import (
    AnnotationError,
    ClusterError,
    DatasetError,
    DependencyError,
    GatedModelError,
    HistoseedError,
    InputError,
    LimitError,
    ModelError,
    NoMemoryError,
    OutputError,
    SlideError,
    UnknownMppError,
)

if TYPE_CHECKING:
    from histoseed.benchmarking import plan_benchmark, report_benchmark, run_benchmark
    from histoseed.datasets import import_dataset, read_dataset
    from histoseed.datasets.merge import merge_datasets
    from histoseed.slides import open_slide
    from histoseed.workflows.adapt import adapt
    from histoseed.workflows.adaptation.prompted import adapt_prompts
    from histoseed.workflows.convert import convert
    from histoseed.workflows.dataset_diff import diff_datasets
    from histoseed.workflows.evaluate import evaluate
    from histoseed.workflows.model_bundle import export_model, import_model, show_model
    from histoseed.workflows.models import load_model
    from histoseed.workflows.prompt import prompt
    from histoseed.workflows.prompt_scores import score_prompts
    from histoseed.workflows.segment import segment
    from histoseed.workflows.suggest import suggest

__all__ = [
    "AnnotationError",
    "ClusterError",
    "DatasetError",
    "DependencyError",
    "GatedModelError",
    "HistoseedError",
    "InputError",
    "LimitError",
    "ModelError",
    "NoMemoryError",
    "OutputError",
    "SlideError",
    "UnknownMppError",
    "__version__",
    "adapt",
    "adapt_prompts",
    "convert",
    "diff_datasets",
    "evaluate",
    "export_model",
    "import_dataset",
    "import_model",
    "load_model",
    "merge_datasets",
    "open_slide",
    "plan_benchmark",
    "prompt",
    "read_dataset",
    "report_benchmark",
    "run_benchmark",
    "score_prompts",
    "segment",
    "show_model",
    "suggest",
]

_HOME = {
    "adapt": "histoseed.workflows.adapt",
    "adapt_prompts": "histoseed.workflows.adaptation.prompted",
    "convert": "histoseed.workflows.convert",
    "diff_datasets": "histoseed.workflows.dataset_diff",
    "evaluate": "histoseed.workflows.evaluate",
    "export_model": "histoseed.workflows.model_bundle",
    "import_dataset": "histoseed.datasets",
    "import_model": "histoseed.workflows.model_bundle",
    "load_model": "histoseed.workflows.models",
    "merge_datasets": "histoseed.datasets.merge",
    "open_slide": "histoseed.slides",
    "plan_benchmark": "histoseed.benchmarking",
    "prompt": "histoseed.workflows.prompt",
    "read_dataset": "histoseed.datasets",
    "report_benchmark": "histoseed.benchmarking",
    "run_benchmark": "histoseed.benchmarking",
    "score_prompts": "histoseed.workflows.prompt_scores",
    "segment": "histoseed.workflows.segment",
    "show_model": "histoseed.workflows.model_bundle",
    "suggest": "histoseed.workflows.suggest",
}
"""Name -> the module that has it."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
