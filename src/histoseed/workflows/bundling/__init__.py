"""The parts of a model bundle: what may go into it, the archive, the notice of licences, the ONNX graph."""

from histoseed.workflows.bundling.archive import ENDING, MANIFEST, NOTICE, ONNX, Archive, write_archive
from histoseed.workflows.bundling.notice import licence_notice
from histoseed.workflows.bundling.plan import Contents, Target, as_in_graph, gate, planned_card

__all__ = [
    "ENDING",
    "MANIFEST",
    "NOTICE",
    "ONNX",
    "Archive",
    "Contents",
    "Target",
    "as_in_graph",
    "gate",
    "licence_notice",
    "planned_card",
    "write_archive",
]
